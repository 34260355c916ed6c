"""Where batches are cut and where commits fall changes nothing: rows, alerts, state bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.config import EngineConfig
from tests.oracle.records import Event
from tests.oracle.runs import EngineRun
from tests.strategies.draws import cuts, streams

pytestmark = pytest.mark.timeout(420)  # Hypothesis may shrink for 300 s


def run_cut(
    config: EngineConfig, events: list[Event], cut_at: list[int], *, commit: bool
) -> EngineRun:
    """Feed a stream in pieces; commit after each, or once at the end."""
    run = EngineRun(config)
    for first, last in zip([0, *cut_at], [*cut_at, len(events)], strict=True):
        run.feed(events[first:last])
        if commit:
            run.commit()
    run.commit()
    return run


@given(streams(events_max=120), st.data())
def test_any_cut_gives_the_same(
    stream: tuple[EngineConfig, list[Event]], data: st.DataObject
) -> None:
    config, events = stream
    whole = run_cut(config, events, [], commit=False)
    cut_at = data.draw(cuts(len(events)))
    pieces = run_cut(config, events, cut_at, commit=data.draw(st.booleans()))
    assert pieces.rows == whole.rows
    assert pieces.alerts == whole.alerts
    assert pieces.heads == whole.heads
    assert pieces.compacted() == whole.compacted()


@given(streams(events_max=60))
def test_a_commit_without_rows_writes_only_the_header(
    stream: tuple[EngineConfig, list[Event]],
) -> None:
    config, events = stream
    run = EngineRun(config).feed(events)
    run.commit()
    assert [key for key, _ in run.commit()] == [b"\x00header"]
