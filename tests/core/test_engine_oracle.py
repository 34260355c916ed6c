"""The engine and its oracle say the same: rows, order, head features, scores, alerts, state."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.config import DAY_MS, EngineConfig
from stream.core.engine import SLOTS_START
from stream.wire.limits import TIME_MS_MAX, TIME_MS_MIN
from tests.oracle.records import Event
from tests.oracle.runs import EngineRun, OracleRun, assert_equal_runs, assert_equal_state
from tests.oracle.script import Script
from tests.strategies.draws import cuts, streams
from tests.strategies.streams import CONFIGS, seeded_moves, stream_of

pytestmark = pytest.mark.timeout(420)  # Hypothesis may shrink for 300 s

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


def test_more_users_than_the_first_slots_and_more_than_the_cap() -> None:
    config = replace(CONFIGS[0], users_max=SLOTS_START + 300)
    chance = random.Random(5)
    users = [b"user-%d" % index for index in range(SLOTS_START + 600)]
    moves = [
        move._replace(user=chance.randrange(len(users)))
        for move in seeded_moves(5, 3_000, kinds=("next", "same", "late", "repeat", "forget"))
    ]
    # Little time passes: they leave at the cap, not for their age.
    events = stream_of(config, [move._replace(delta=move.delta % 2) for move in moves], users)
    assert_agreement(config, events, list(range(250, 3_000, 250)), commit=True)


@pytest.mark.parametrize("time_ms", [TIME_MS_MIN - DAY_MS, TIME_MS_MIN, TIME_MS_MAX + DAY_MS])
def test_the_first_and_last_times_that_the_decoder_lets_through(time_ms: int) -> None:
    s = Script()
    for shift_ms in (0, 5, -5, 1_000):
        s.click("a", time_ms + shift_ms)
    assert_agreement(CONFIGS[0], s.events, [1, 2, 3], commit=True)


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
