"""Is the worker alive, is it ready: named probes, each silent or giving its reason.

Rules of the room: a probe only reads (an attribute, a clock); it takes no lock, does no I/O and
returns at once, since the web server's thread calls it whatever the event loop does. A probe that
raises counts as a reason. *Live* probes say "restart me"; *ready* probes say "not yet". Not alive
is never ready.
"""

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

Probe = Callable[[], str | None]  # None: well; else the reason, for a person
Kind = Literal["live", "ready"]


class Verdict(NamedTuple):
    """The answer of some probes: reasons by probe, empty when all is well."""

    reasons: dict[str, str]

    @property
    def well(self) -> bool:
        """Whether no probe gave a reason."""
        return not self.reasons


class Health:
    """The probes of a worker. Starts not ready: `starting` is a reason until `started()`."""

    def __init__(self) -> None:
        self._probes: dict[Kind, dict[str, Probe]] = {"live": {}, "ready": {}}
        self.add("ready", "starting", lambda: "the worker has not started yet")

    def add(self, kind: Kind, name: str, probe: Probe) -> None:
        """Register a probe; one of the same kind and name is replaced."""
        self._probes[kind] = {**self._probes[kind], name: probe}

    def remove(self, kind: Kind, name: str) -> None:
        """Forget a probe, if it is there."""
        self._probes[kind] = {n: p for n, p in self._probes[kind].items() if n != name}

    def started(self) -> None:
        """Say that every probe is registered and the worker runs."""
        self.remove("ready", "starting")

    def live(self) -> Verdict:
        """Ask the live probes."""
        return Verdict(_ask(self._probes["live"]))

    def ready(self) -> Verdict:
        """Ask all probes."""
        return Verdict({**_ask(self._probes["live"]), **_ask(self._probes["ready"])})


def _ask(probes: dict[str, Probe]) -> dict[str, str]:
    reasons = {}
    for name, probe in probes.items():
        try:
            reason = probe()
        except Exception as error:  # noqa: BLE001 a broken probe must show, not hide the others
            reason = f"the probe raised {type(error).__name__}: {error}"
        if reason is not None:
            reasons[name] = reason
    return reasons


class Beat:
    """A probe on something that must go round: the event loop, the engine's thread, commits.

    `beat()` on each round. It is unwell once `seconds_max` have passed since the last beat, unless
    it rests: something that has nothing to do says so with `rest()`.
    """

    def __init__(
        self, what: str, seconds_max: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._seconds_max = seconds_max
        self._clock = clock
        self._last: float | None = None  # None: resting

    def beat(self) -> None:
        """Say that a round has begun or ended."""
        self._last = self._clock()

    def rest(self) -> None:
        """Say that no round is due until the next beat."""
        self._last = None

    def __call__(self) -> str | None:
        """Answer as a probe."""
        last = self._last
        if last is None:
            return None
        seconds = self._clock() - last
        if seconds <= self._seconds_max:
            return None
        return f"{self._what}: nothing for {seconds:.1f} s, at most {self._seconds_max:g} s"
