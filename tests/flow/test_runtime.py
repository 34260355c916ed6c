"""Waiting for another thread ends, with a name for why."""

from concurrent.futures import Future

import pytest

from stream.flow.runtime import awaited
from stream.flow.stops import StuckError


def test_what_does_not_end_is_stuck() -> None:
    with pytest.raises(StuckError, match=r"scoring takes more than 0\.0 s"):
        awaited(Future(), 0.01, "scoring")


def test_what_it_raises_is_its_own() -> None:
    failed: Future[None] = Future()
    failed.set_exception(TimeoutError("of a device"))
    with pytest.raises(TimeoutError, match="of a device"):
        awaited(failed, 0.01, "scoring")


def test_what_is_there_is_given() -> None:
    done: Future[int] = Future()
    done.set_result(7)
    assert awaited(done, 0.01, "scoring") == 7
