"""The engine and its oracle say the same: rows, order, head features, scores, alerts, state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.config import EngineConfig
from tests.oracle.records import Event
from tests.oracle.runs import EngineRun, OracleRun, assert_equal_runs, assert_equal_state
from tests.oracle.script import Script
from tests.strategies.draws import cuts, streams
from tests.strategies.streams import CONFIGS, seeded_moves, stream_of

SEEDS = range(6)


def assert_agreement(
    config: EngineConfig, events: list[Event], cut_at: list[int], *, commit: bool
) -> None:
    """Compare after every batch, with a commit after each of them or only after the last."""
    engine, oracle = EngineRun(config), OracleRun(config)
    for first, last in zip([0, *cut_at], [*cut_at, len(events)], strict=True):
        engine.feed(events[first:last])
        oracle.feed(events[first:last])
        if commit or last == len(events):
            engine.commit()
            assert_equal_state(engine, oracle.oracle)
    assert_equal_runs(engine, oracle)


@given(streams(), st.data(), st.booleans())
def test_engine_equals_oracle(
    stream: tuple[EngineConfig, list[Event]], data: st.DataObject, commit: bool
) -> None:
    config, events = stream
    assert_agreement(config, events, data.draw(cuts(len(events))), commit=commit)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_engine_equals_oracle_over_long_streams(config: EngineConfig, seed: int) -> None:
    events = stream_of(config, seeded_moves(seed, 700))
    step = (1, 7, 64, 255, 256, 700)[seed]
    assert_agreement(config, events, list(range(step, len(events), step)), commit=seed % 2 == 0)


@pytest.mark.parametrize("held", [65_533, 65_534, 65_535])
def test_a_counter_stays_at_its_limit(held: int) -> None:
    s = Script()
    s.click("a", 1_700_000_000_000)
    engine = EngineRun(CONFIGS[0]).feed(s.events)
    cells = engine.engine.state.users["counters"]
    cells[cells == 1] = held
    s.click("a", 1_700_000_000_001)
    engine.feed(s.events[1:])
    assert engine.heads[1]["count_click_7d_sliding"] == min(held + 1, 65_535)
