"""A carried state is the rebuilt one, for n = 1 to 5 L and late insertion at every position."""

from dataclasses import replace

import pytest

from tests.oracle.engine import scored_steps
from tests.oracle.int_scorer import IntScorer, score_window
from tests.oracle.runs import ROWS_MAX, EngineRun, OracleRun, assert_equal_runs
from tests.oracle.script import Script
from tests.strategies.streams import CONFIGS

T = 1_700_000_000_000
STEP_MS = 1_000
SIZES = [(4, 1), (4, 2), (7, 3), (8, 4)]


def script_of(count: int, users: str = "a") -> Script:
    """Write clicks of users that take turns."""
    s = Script()
    for index in range(count):
        s.click(users[index % len(users)], T + index * STEP_MS)
    return s


@pytest.mark.parametrize(("window", "refresh"), SIZES)
def test_carried_is_rebuilt_at_every_n(window: int, refresh: int) -> None:
    config = replace(CONFIGS[0], window_steps=window, refresh_steps=refresh)
    events = script_of(5 * refresh).events
    steps = [event.steps[0] for event in events]
    rebuilt = [
        score_window(scored_steps(steps[max(0, n - window) : n], n, refresh), (0, 0, 0), recent)
        for n in range(1, len(events) + 1)
        for recent in [frozenset(step.item for step in steps[max(0, n - window) : n])]
    ]
    at_once = EngineRun(config).feed(events)
    one_by_one = EngineRun(config).feed(events, range(1, len(events)))
    always_rebuilt = EngineRun(config)
    for event in events:
        always_rebuilt.engine.drop_hidden()
        always_rebuilt.feed([event])
    for run in (at_once, one_by_one, always_rebuilt):
        assert [row["answer"] for row in run.rows] == rebuilt


@pytest.mark.parametrize(("window", "refresh"), SIZES)
def test_a_late_step_at_every_position(window: int, refresh: int) -> None:
    config = replace(CONFIGS[0], window_steps=window, refresh_steps=refresh)
    for n in range(1, 5 * refresh + 1):
        for back in range(min(n, window) + 1):
            s = script_of(n)
            s.click("a", T + (n - 1 - back) * STEP_MS + STEP_MS // 2)
            for more in range(2):
                s.click("a", T + (n + more) * STEP_MS)
            oracle = OracleRun(config).feed(s.events)
            assert_equal_runs(EngineRun(config).feed(s.events), oracle)
            assert_equal_runs(EngineRun(config).feed(s.events, range(1, n + 3)), oracle)


@pytest.mark.parametrize(("window", "refresh"), SIZES)
@pytest.mark.parametrize("pool", [1, 2, 3])
def test_users_that_push_each_other_out_of_the_pool(window: int, refresh: int, pool: int) -> None:
    config = replace(CONFIGS[0], window_steps=window, refresh_steps=refresh, hidden_users_max=pool)
    events = script_of(15 * refresh, users="abc").events
    oracle = OracleRun(config).feed(events)
    for size in (1, 2, 3, 4, 7):
        run = EngineRun(config).feed(events, range(size, len(events), size))
        assert_equal_runs(run, oracle)


def test_more_rebuilding_than_one_plan_holds() -> None:
    config = replace(CONFIGS[2], window_steps=8, refresh_steps=4)
    s = script_of(8)
    for index in range(ROWS_MAX - 8):  # late each time, never too late: rebuilt each time
        s.click("a", T + 6 * STEP_MS + index)
    scorer = IntScorer()
    run = EngineRun(config, scorer).feed(s.events)
    assert scorer.plans_run > 1
    assert_equal_runs(run, OracleRun(config).feed(s.events))


@pytest.mark.parametrize(("window", "refresh"), SIZES[1:])
def test_a_step_costs_about_two(window: int, refresh: int) -> None:
    config = replace(CONFIGS[0], window_steps=window, refresh_steps=refresh)
    scorer = IntScorer()
    events = script_of(40 * refresh).events
    EngineRun(config, scorer).feed(events, range(1, len(events)))
    # One step an event, and every L events L + 1 steps instead of one.
    assert scorer.steps_run <= 2 * len(events)
