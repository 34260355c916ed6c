"""What the flow runs on: two clocks, and one thread each for decoding, scoring and committing.

Rules of the room: whatever the flow decides by time or does beside the worker's thread goes through
a Runtime, so that a simulation can put its own in (docs/adr/0014). What is only measured, for the
metrics, may read the clock itself.
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from stream.flow.stops import StuckError

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Clocks and executors of one worker. Each executor runs its tasks one by one, in order."""

    monotonic: Callable[[], float]  # seconds
    now_ms: Callable[[], int]  # wall clock
    decoding: Executor
    scoring: Executor
    committing: Executor

    def stop(self) -> None:
        """Let the threads go; what has not begun is not run."""
        for executor in (self.decoding, self.scoring, self.committing):
            executor.shutdown(wait=False, cancel_futures=True)


def awaited(future: "Future[T]", limit_s: float, what: str) -> T:
    """Wait for what another thread does. Raises StuckError, and whatever it raises itself."""
    try:
        return future.result(limit_s)
    except TimeoutError as error:
        if future.done():
            raise  # its own
        raise StuckError(f"{what} takes more than {limit_s:.1f} s") from error


def at_once(task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
    """Do it here and now, as an executor would have: what it raises is in the future."""
    future: Future[T] = Future()
    try:
        future.set_result(task(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 raised where the result is asked for
        future.set_exception(error)
    return future


def threads() -> Runtime:
    """Make the real one."""
    return Runtime(
        monotonic=time.monotonic,
        now_ms=lambda: time.time_ns() // 1_000_000,
        decoding=ThreadPoolExecutor(1, "decode"),
        scoring=ThreadPoolExecutor(1, "score"),
        committing=ThreadPoolExecutor(1, "commit"),
    )
