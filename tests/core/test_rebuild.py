"""States planned from the window alone are those that were carried from step to step."""

from dataclasses import replace

import numpy as np
import pytest

from tests.core.test_properties_carry import SIZES, STEP_MS, T, script_of
from tests.oracle.int_scorer import IntScorer, check_plan
from tests.oracle.runs import PARTITION, EngineRun
from tests.strategies.streams import CONFIGS


@pytest.mark.parametrize(("window", "refresh"), SIZES)
def test_rebuilt_pool_is_the_carried_one(window: int, refresh: int) -> None:
    config = replace(CONFIGS[0], window_steps=window, refresh_steps=refresh)
    script = script_of(9 * refresh, users="aab")
    script.click("b", T + STEP_MS // 2)  # late
    events = script.events
    for count in range(1, len(events) + 1):
        scorer, again = IntScorer(), IntScorer()
        run = EngineRun(config, scorer).feed(events[:count])
        again.open(PARTITION, config.hidden_users_max)
        rows = run.engine.pool_rows(run.engine.state.pool_owner >= 0)
        plan = run.engine.plan_rebuilds(rows, refresh)
        check_plan(plan)
        again.score(PARTITION, plan)
        assert len(rows) == run.engine.users_count
        assert (again.pools[PARTITION][rows] == scorer.pools[PARTITION][rows]).all()


def test_rows_come_in_the_order_of_activity_and_unowned_ones_not_at_all() -> None:
    config = replace(CONFIGS[0], hidden_users_max=8)
    run = EngineRun(config).feed(script_of(6, users="abcb").events)  # a b c b a b
    engine = run.engine
    owner = engine.state.pool_owner
    seq = engine.state.users["seq_last"]
    rows = engine.pool_rows(np.ones(8, np.bool_))
    assert len(rows) == 3
    assert (np.diff(seq[owner[rows]]) < 0).all()
    only = np.zeros(8, np.bool_)
    only[rows[1]] = True
    assert engine.pool_rows(only).tolist() == [rows[1]]
    plan = engine.plan_rebuilds(np.arange(8, dtype=np.int32), config.refresh_steps)
    assert sorted(plan.pool_out.tolist()) == sorted(rows.tolist())


def test_cold_rows_are_dropped_and_warm_ones_kept() -> None:
    config = replace(CONFIGS[0], window_steps=8, refresh_steps=4, hidden_users_max=8)
    run = EngineRun(config).feed(script_of(6, users="abc").events)
    engine = run.engine
    rows = engine.pool_rows(engine.state.pool_owner >= 0)
    warm = np.zeros(8, np.bool_)
    warm[rows[0]] = True
    engine.change_model(3, warm)
    assert engine.pool_rows(engine.state.pool_owner >= 0).tolist() == [rows[0]]
    assert (engine.state.hidden_row >= 0).sum() == 1
    assert engine.config.refresh_steps == 3
    with pytest.raises(ValueError, match="must fit the window"):
        engine.change_model(5, warm)
