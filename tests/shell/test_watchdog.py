"""The watchdog: patience, probes that break, the hard exit."""

import asyncio
import subprocess
import sys
import threading
import time

from stream.flow.stops import StuckError, WorkerStopError
from stream.shell.watchdog import Check, LoopBeat, Watchdog


def run(probe, patience_s: float, limit_s: float) -> list[WorkerStopError]:
    told: list[WorkerStopError] = []
    event = threading.Event()

    def on_stuck(error: WorkerStopError) -> None:
        told.append(error)
        event.set()

    dog = Watchdog({"thing": Check(probe, patience_s)}, on_stuck, interval_s=0.02)
    dog.start()
    event.wait(limit_s)
    dog.stop()
    return told


def test_a_reason_that_stays_is_told_once() -> None:
    (error,) = run(lambda: "stands at 7", 0.1, 5.0)
    assert isinstance(error, StuckError)
    assert "thing for" in str(error)
    assert "stands at 7" in str(error)


def test_a_reason_that_goes_away_in_time_is_not() -> None:
    began = time.monotonic()
    looks: list[float] = []

    def probe() -> str | None:
        looks.append(time.monotonic() - began)
        return "odd look" if len(looks) % 2 else None

    assert run(probe, 0.03, 0.5) == []
    assert len(looks) > 4


def test_a_probe_that_breaks_is_a_reason() -> None:
    def probe() -> str | None:
        raise AttributeError("gone")

    (error,) = run(probe, 0.0, 5.0)
    assert "gone" in str(error)


async def test_the_event_loop_answers_or_not() -> None:
    beat = LoopBeat(asyncio.get_running_loop(), late_s=0.05)
    assert beat.probe() is None
    await asyncio.sleep(0.1)
    assert beat.probe() is None
    time.sleep(0.1)  # noqa: ASYNC251 the loop has to stand still
    assert "does not answer" in (beat.probe() or "")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert beat.probe() is None


def test_exit_after_ends_a_process_that_hangs() -> None:
    code = (
        "import threading\n"
        "from stream.flow.stops import CommitLateError\n"
        "from stream.shell.watchdog import exit_after\n"
        "exit_after(CommitLateError('x'), 0.2)\n"
        "threading.Event().wait()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=30, check=False)
    assert done.returncode == 18
