"""The watchdog: what must move, looked at from a thread of its own, and the last exit.

Rules of the room: a probe returns at once, with a reason or None, and takes no lock (the event loop
may be what stands still). A reason that stays longer than its patience is a StuckError. Crashing a
Faust app is not enough to end its process (one of eight hung), so `exit_after` ends it hard.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from stream.flow.stops import StuckError, WorkerStopError

INTERVAL_S: Final = 1.0
CRASH_PATIENCE_S: Final = 2.0
LOOP_PATIENCE_S: Final = 20.0
STILL_PATIENCE_S: Final = 60.0
EXIT_GRACE_S: Final = 10.0

log = logging.getLogger(__name__)


class Check(NamedTuple):
    """A probe, and how long its reason may stay."""

    probe: Callable[[], str | None]
    patience_s: float


class Watchdog:
    """Looks at checks each `interval_s` and tells once of the first that lasts too long."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        on_stuck: Callable[[WorkerStopError], None],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._checks = dict(checks)
        self._on_stuck = on_stuck
        self._interval_s = interval_s
        self._since: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a planned stop is no standstill."""
        self._stopped.set()

    def reasons(self) -> dict[str, str]:
        """Ask all probes now, whatever their patience."""
        return {name: why for name, check in self._checks.items() if (why := _ask(check.probe))}

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            now = time.monotonic()
            reasons = self.reasons()
            self._since = {name: self._since.get(name, now) for name in reasons}
            for name, why in reasons.items():
                lasted_s = now - self._since[name]
                if lasted_s >= self._checks[name].patience_s:
                    self._on_stuck(StuckError(f"{name} for {lasted_s:.0f} s: {why}"))
                    return


def _ask(probe: Callable[[], str | None]) -> str | None:
    try:
        return probe()
    except Exception as error:  # noqa: BLE001 a probe that breaks is a reason by itself
        return f"cannot tell: {error!r}"


def exit_after(error: WorkerStopError, grace_s: float = EXIT_GRACE_S) -> threading.Timer:
    """End the process with the error's exit code, whatever hangs, unless it ends before."""

    def end() -> None:
        log.critical("still here %.0f s after: %s", grace_s, error)
        logging.shutdown()
        os._exit(error.exit_code)

    timer = threading.Timer(grace_s, end)
    timer.daemon = True
    timer.start()
    return timer


def app_checks(app: Any, loop_beat: "LoopBeat") -> dict[str, Check]:
    """List the checks of a started ChunkApp."""
    return {
        "crashed": Check(lambda: _crashed(app), CRASH_PATIENCE_S),
        "event loop": Check(loop_beat.probe, LOOP_PATIENCE_S),
        "rebalance": Check(_StillRebalancing(app).probe, 2 * STILL_PATIENCE_S),
        "input": Check(_StillInput(app).probe, STILL_PATIENCE_S),
    }


class LoopBeat:
    """Asks an event loop for a sign of life at each look."""

    def __init__(self, loop: Any, late_s: float = 1.0) -> None:
        self._loop = loop
        self._late_s = late_s
        self._asked_at: float | None = None

    def probe(self) -> str | None:
        """Give a reason if the last question is still open."""
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self._loop.call_soon_threadsafe(self._answer)
        late_s = now - self._asked_at
        return f"does not answer for {late_s:.1f} s" if late_s > self._late_s else None

    def _answer(self) -> None:
        self._asked_at = None


def _crashed(app: Any) -> str | None:
    """Name what is dead of app, fetcher, consumer, its thread and its group coordination."""
    consumer = app.consumer
    thread = consumer._thread
    for name, service in (("app", app), ("fetcher", app._fetcher), ("consumer", consumer)):
        if service.crashed:
            return f"{name}: {service.crash_reason!r}"
    if thread._thread is not None and not thread._thread.is_alive():
        return "consumer thread has ended"
    if thread._consumer is not None and thread._consumer._coordinator._coordination_task.done():
        return "group coordination has ended"
    return None


class _StillRebalancing:
    """A rebalance, restore included, in which nothing moves."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._seen: tuple[Any, ...] | None = None

    def probe(self) -> str | None:
        if not self._app.rebalancing:
            self._seen = None
            return None
        seen = (self._app.rebalancing_count, sorted(self._app.restore_remaining().items()))
        still, self._seen = seen == self._seen, seen
        return f"number {seen[0]}, offsets to restore {seen[1]}" if still else None


class _StillInput:
    """An input with something to read whose position does not move though nobody holds it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._positions: dict[tuple[str, int], int] = {}

    def probe(self) -> str | None:
        if self._app.rebalancing:
            self._positions = {}
            return None
        before, lags = self._positions, self._app.lags()
        self._positions = {place: position for place, (position, _) in lags.items()}
        still = [
            f"{topic}[{partition}] at {position} of {end}"
            for (topic, partition), (position, end) in lags.items()
            if before.get((topic, partition)) == position < end
            and not self._app.is_held(topic, partition)
        ]
        return "; ".join(still) or None
