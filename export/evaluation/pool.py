"""Jobs run beside each other in processes, a core each.

Rules of the room: libraries of linear algebra get one thread: two jobs of one thread end earlier
than one job of two, and their times can be compared. A process does one job after the other, since
opening a dataset is dear. A job that fails does not end the others; one that kills its process gets
named, and another process takes over.
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
class _Worker:
    process: BaseProcess
    name: str  # of its job


def run_jobs(jobs: Mapping[str, Job], at_once: int, board: Board) -> None:
    """Run all jobs, `at_once` beside each other. Raises JobsError when all that can are done.

    Ended from outside, it ends the processes that it started.
    """
    for name in _THREADS:
        os.environ.setdefault(name, "1")  # read by a library when a process loads it
    waiting = list(jobs.items())
    working: dict[Connection, _Worker] = {}
    failed: dict[str, str] = {}

    def hand(end: Connection, process: BaseProcess) -> None:
        if waiting:
            name, job = waiting.pop(0)
            end.send(job)
            working[end] = _Worker(process, name)
            board.said(name, "started")
        else:
            end.send(None)
            process.join()

    try:
        while waiting or working:
            while waiting and len(working) < at_once:
                hand(*_start())
            for ready in wait(list(working)):
                end = cast("Connection", ready)
                worker = working[end]
                try:
                    kind, text = end.recv()
                except (EOFError, ConnectionError):
                    worker.process.join()
                    kind, text = "failed", f"its process ended with {worker.process.exitcode}"
                    del working[end]
                    failed[worker.name] = text
                    board.ended(worker.name, f"failed: {text}")
                    continue
                if kind == "said":
                    board.said(worker.name, text)
                    continue
                if kind == "failed":
                    failed[worker.name] = text
                board.ended(worker.name, f"failed: {text}" if kind == "failed" else "done")
                del working[end]
                hand(end, worker.process)
    finally:
        for left in working.values():
            left.process.terminate()
            left.process.join()
    if failed:
        raise JobsError("; ".join(f"{name}: {text}" for name, text in failed.items()))


def _start() -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there,), daemon=True)
    process.start()
    there.close()
    return here, process


def _work(end: Connection) -> None:
    """Run in a process: jobs until there are no more, or until who sends them is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    try:
        while (job := end.recv()) is not None:
            try:
                job(lambda text: end.send(("said", text)))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told to who sent it
                text = str(error).strip().split("\n")[0]
                end.send(("failed", f"{type(error).__name__}: {text}"))
            else:
                end.send(("done", ""))
    except (EOFError, ConnectionError):
        return
