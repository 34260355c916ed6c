"""Where a kill is aimed: the moment is found by watching the broker and the worker's log.

Rules of the room: nothing in the worker helps. The worker that is killed is instance 0; a second
one joins only to cause a rebalance, and leaves again when the run is over.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from stream.shell.reader import Reader
from tests.deployment import DEADLINE_S, Deployment, WorkerProcess, until
from tests.faults.transactions import Coordinator, Phase

POLL_S: Final = 0.0005
AIM_S: Final = 30.0  # for a moment to come
STILL_S: Final = 1.5  # halted for so long, a worker finds a backlog to decode
RESTORES_MAX: Final = 5  # tries to meet a worker that restores


class Aim(StrEnum):
    """What the worker is to be at when it is killed."""

    DECODING = "decoding"
    OPEN = "open"
    OFFSETS = "offsets"
    ENDING = "ending"
    RESTORING = "restoring"
    REBALANCING = "rebalancing"


# In so many of 50 runs.
AIMS: Final = {
    Aim.DECODING: 10, Aim.OPEN: 10, Aim.OFFSETS: 8, Aim.ENDING: 8, Aim.RESTORING: 8,
    Aim.REBALANCING: 6,
}  # fmt: skip
_PHASES: Final = {Aim.OPEN: Phase.OPEN, Aim.OFFSETS: Phase.OFFSETS, Aim.ENDING: Phase.ENDING}


@dataclass(slots=True)
class Strike:
    """A kill, and the start after it."""

    killed_s: float  # wall clock
    phase: Phase
    positions: Mapping[tuple[str, int], int]  # of the predictions, before the kill
    restoring: bool = False
    rebalancing: bool = False
    leave: Callable[[], None] = lambda: None  # once the run is over


def strike(
    deployment: Deployment, coordinator: Coordinator, aim: Aim, dice: random.Random
) -> Strike:
    """Wait for the moment, kill the worker, start it again."""
    worker = deployment.worker()
    positions = _flowing(deployment, worker)
    time.sleep(dice.uniform(0.2, 3.0))
    if aim is Aim.DECODING:
        worker.send(signal.SIGSTOP)
        time.sleep(STILL_S)
        worker.send(signal.SIGCONT)
        time.sleep(dice.uniform(0.005, 0.15))
        return _killed(worker, coordinator, positions)
    if aim is Aim.RESTORING:
        return _killed_restoring(worker, coordinator, positions, dice)
    if aim is Aim.REBALANCING:
        return _killed_rebalancing(deployment, coordinator, positions, dice)
    deadline = time.monotonic() + AIM_S
    while coordinator.phase(worker.identity) is not _PHASES[aim]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no transaction was {aim} in {AIM_S:.0f} s")
        time.sleep(POLL_S)
    return _killed(worker, coordinator, positions, _PHASES[aim])


def _flowing(deployment: Deployment, worker: WorkerProcess) -> dict[tuple[str, int], int]:
    """Wait until predictions come; where their topic ends."""
    topic = deployment.settings.topic("predictions")
    with Reader(deployment.settings.broker) as reader:

        def ends() -> dict[tuple[str, int], int]:
            return {place: end for place, (_, end) in reader.ranges([topic]).items()}

        before = ends()

        def grown() -> bool:
            worker.check_runs()
            return all(end > before[place] for place, end in ends().items())

        until(grown, "predictions of all partitions")
        return ends()


def _killed(
    worker: WorkerProcess,
    coordinator: Coordinator,
    positions: Mapping[tuple[str, int], int],
    phase: Phase | None = None,
) -> Strike:
    """Kill it, and start it again."""
    assert worker.process is not None
    seen = coordinator.phase(worker.identity) if phase is None else phase
    os.kill(worker.process.pid, signal.SIGKILL)
    killed_s = time.time()
    worker.ended()
    worker.start()
    return Strike(killed_s, seen, positions)


def _killed_restoring(
    worker: WorkerProcess,
    coordinator: Coordinator,
    positions: Mapping[tuple[str, int], int],
    dice: random.Random,
) -> Strike:
    """Kill it, and again while it restores."""
    blow = _killed(worker, coordinator, positions)
    for _ in range(RESTORES_MAX):
        deadline = time.monotonic() + DEADLINE_S
        while "Reading active changelog" not in worker.said():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no restore in {DEADLINE_S:.0f} s: {worker.said()[-2000:]}")
            time.sleep(POLL_S)
        time.sleep(dice.uniform(0.0, 0.05))
        restoring = not worker.owned()
        phase, blow = blow.phase, _killed(worker, coordinator, positions)
        if restoring:
            blow.restoring = True
            blow.phase = phase  # the first kill's: while it restores, nothing is open
            break
    return blow


def _killed_rebalancing(
    deployment: Deployment,
    coordinator: Coordinator,
    positions: Mapping[tuple[str, int], int],
    dice: random.Random,
) -> Strike:
    """Kill it while a second worker joins; that one leaves when the run is over."""
    worker, second = deployment.worker(0), deployment.start(instance=1)
    deadline = time.monotonic() + DEADLINE_S
    while worker.owned():  # handing over and taking again is a matter of 0.1 s
        if time.monotonic() > deadline:
            raise TimeoutError(f"no rebalance in {DEADLINE_S:.0f} s: {second.said()[-2000:]}")
        time.sleep(POLL_S)
    time.sleep(dice.uniform(0.0, 0.1))
    rebalancing = not worker.owned()
    blow = _killed(worker, coordinator, positions)
    blow.rebalancing = rebalancing

    def leave() -> None:
        worker.wait_until_it_runs()
        assert second.kill(signal.SIGTERM) == 0, second.said()[-3000:]
        until(lambda: len(worker.owned()) == 4, "all partitions in one worker")

    blow.leave = leave
    return blow
