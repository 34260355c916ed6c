"""Time that passes only when told, and tasks that run only when told.

`Tasks` is the executor of one thread: whoever waits for a result lets the thread run until it is
there, and so do the schedule's own draws.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

START_MS = 1_760_000_000_000


class SimClock:
    """A monotonic clock, and a wall clock that may also jump."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.wall_offset_ms = START_MS

    def monotonic(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return self.wall_offset_ms + int(self.now_s * 1000)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


class Crash(BaseException):
    """The process is gone, here. Nothing of it runs any more."""


class Stuck(BaseException):
    """A task never ends."""


class WouldBlock(BaseException):
    """A thread waits for one that is on the stack below it: it goes on later, from its start."""


class Owed(Future[Any]):
    """A result that is there once its task has run. All in one thread: without the real one's lock.

    What the flow does not ask of a future is not here, and raises.
    """

    def __init__(self, tasks: "Tasks") -> None:
        self.tasks = tasks
        self._done = False
        self._value: Any = None
        self._error: Exception | None = None

    def done(self) -> bool:
        return self._done

    def settle(self, value: Any, error: Exception | None) -> None:
        """Have the result, or what the task raised."""
        self._value, self._error, self._done = value, error, True

    def result(self, timeout: float | None = None) -> Any:
        while not self._done:
            self.tasks.waited_for(timeout)
            try:
                self.tasks.run_one()
            except Stuck:
                self.tasks.waited_for(timeout)
        if self._error is not None:
            raise self._error
        return self._value


class Tasks(Executor):
    """One thread's tasks, in order.

    `waited_for` is told when somebody waits so long for one: it may raise TimeoutError, the thread
    is too slow.
    """

    def __init__(self, waited_for: Callable[[float | None], None] = lambda _: None) -> None:
        self.queue: deque[tuple[Owed, Callable[[], Any]]] = deque()
        self.running = False
        self.waited_for = waited_for

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Owed:
        owed = Owed(self)
        self.queue.append((owed, lambda: fn(*args, **kwargs)))
        return owed

    def run_one(self) -> None:
        """Run the task at the head to its end."""
        if self.running:
            raise WouldBlock
        owed, task = self.queue.popleft()
        self.running = True
        try:
            owed.settle(task(), None)
        except Exception as error:  # noqa: BLE001 it is the waiter's
            owed.settle(None, error)
        finally:
            self.running = False

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.queue.clear()
