"""A clock that a test moves by hand."""


class HandClock:
    """Called like time.monotonic; `now` is set by the test."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Tell the time, s."""
        return self.now
