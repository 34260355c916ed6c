"""Jobs run beside each other, one process each, a core each.

Rules of the room: a process does one job and ends, so nothing of one is in another, and a crash
names its job. Libraries of linear algebra get one thread: two jobs of one thread end earlier than
one job of two, and their times can be compared. A job that fails does not end the others.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, cast

from export.evaluation.board import Board

Say = Callable[[str], None]
Job = Callable[[Say], None]  # goes to another process: of a module, or a partial of one

_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class JobsError(RuntimeError):
    """Some jobs failed. The message names each and says why."""


@dataclass(frozen=True, slots=True)
class _Started:
    name: str
    process: BaseProcess


def run_jobs(jobs: Mapping[str, Job], at_once: int, board: Board) -> None:
    """Run all jobs, `at_once` beside each other. Raises JobsError when all that can are done.

    Ended from outside, it ends the processes that it started.
    """
    for name in _THREADS:
        os.environ.setdefault(name, "1")  # read by a library when a process loads it
    context = multiprocessing.get_context("spawn")
    waiting = list(jobs.items())
    started: dict[Connection, _Started] = {}
    failed: dict[str, str] = {}
    try:
        while waiting or started:
            while waiting and len(started) < at_once:
                name, job = waiting.pop(0)
                here, there = context.Pipe(duplex=False)
                process: BaseProcess = context.Process(target=_do, args=(job, there), daemon=True)
                process.start()
                there.close()
                started[here] = _Started(name, process)
                board.said(name, "started")
            for ready in wait(list(started)):
                end = cast("Connection", ready)
                name = started[end].name
                try:
                    kind, text = end.recv()
                except EOFError:
                    process = started.pop(end).process
                    process.join()
                    if process.exitcode and name not in failed:
                        failed[name] = f"its process ended with {process.exitcode}"
                    board.ended(name, f"failed: {failed[name]}" if name in failed else "done")
                else:
                    if kind == "failed":
                        failed[name] = text
                    else:
                        board.said(name, text)
    finally:
        for left in started.values():
            left.process.terminate()
            left.process.join()
    if failed:
        raise JobsError("; ".join(f"{name}: {text}" for name, text in failed.items()))


def _do(job: Job, end: Connection) -> None:
    """Run in the process of one job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    try:
        job(lambda text: end.send(("said", text)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told to who started it
        text = str(error).strip().split("\n")[0]
        end.send(("failed", f"{type(error).__name__}: {text}"))
    finally:
        end.close()
