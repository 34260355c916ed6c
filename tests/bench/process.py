"""A contender as a process: what it costs while it lives, how it is ended.

Rules of the room: children count as the program's own.
"""

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

import psutil

STOP_S = 30.0


def alive(process: psutil.Popen, log: Path) -> Callable[[], float]:
    """Give the function that tells a program's processor seconds, and raises once it has ended."""

    def cpu_s() -> float:
        status = process.poll()
        if status is not None:
            lines = log.read_text(errors="replace").splitlines()[-5:]
            raise RuntimeError(f"{log} ended with status {status}: {' | '.join(lines)}")
        spent = 0.0
        for one in (process, *_children(process)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                spent += times.user + times.system
        return spent

    return cpu_s


def end(process: psutil.Popen) -> None:
    """Ask a program and its children to end, then kill them; wait until they are gone."""
    family = [process, *_children(process)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(number)
        _, family = psutil.wait_procs(family, STOP_S)


def _children(process: psutil.Popen) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
