"""A sweep belongs to the row that causes it: without the row, no sweep."""

from dataclasses import replace

import pytest

from tests.oracle.batches import batch_of
from tests.oracle.int_scorer import IntScorer
from tests.oracle.runs import PARTITION, EngineRun, OracleRun, assert_equal_runs, assert_equal_state
from tests.oracle.script import Script
from tests.strategies.streams import CONFIGS

T = 1_700_000_000_000
HOUR_MS = 3_600_000
CONFIG = replace(CONFIGS[2], bucket_ms=HOUR_MS, churn_events_min=1)


@pytest.mark.parametrize("restored", [False, True])
def test_a_row_that_waits_for_a_sweep_and_comes_later_after_all(restored: bool) -> None:
    """The rest of a batch is thrown away on a revoke, and comes again in another order."""
    script = Script()
    before = [script.click(user, T + k) for k, user in enumerate("abab")]
    beyond = script.search("d", T + 2 * HOUR_MS)
    between = [script.click(user, T + HOUR_MS // 2 + k) for k, user in enumerate("caca")]
    run = EngineRun(CONFIG)
    batch = batch_of([*before, beyond])
    applied = run.engine.apply(batch)
    assert applied.rows_next == len(before)
    settled = run.engine.settle(applied, run.scorer.score(PARTITION, applied.plan))
    run.commit()
    later = run.reborn() if restored else run
    later.feed([*between, beyond]).commit()
    rest = OracleRun(CONFIG).feed([*before, *between, beyond])
    assert len(settled.alerts) < len(rest.alerts)
    assert [a["sequence"] for a in later.alerts] == [
        alert.sequence for alert in rest.alerts[len(settled.alerts) :]
    ]
    assert_equal_state(later, rest.oracle)


@pytest.mark.parametrize("cuts", [range(0), range(1, 6)])
def test_who_confirms_a_jump_and_is_dropped_by_its_sweep_has_confirmed_it(cuts: range) -> None:
    """The user is silent for longer than the TTL: the sweep of its own user_forget drops it."""
    script, start, jumped = Script(), 1_699_999_860_000, 1_700_604_659_999
    script.click("a", start)
    script.click("a", start + CONFIGS[2].watermark_jump_ms_max)
    script.click("b", start)
    script.click("a", jumped)
    script.click("c", jumped)
    script.forget("b", jumped)
    run = EngineRun(CONFIGS[2], IntScorer()).feed(script.events, cuts=cuts)
    run.commit()
    plain = OracleRun(CONFIGS[2]).feed(script.events)
    assert_equal_runs(run, plain)
    assert_equal_state(run, plain.oracle)
    assert plain.oracle.clock.watermark_ms == jumped


def test_the_alerts_of_a_sweep_come_with_its_row() -> None:
    script = Script()
    for k in range(40):
        script.click("abcd"[k % 4], T + k * HOUR_MS // 3)
    run = EngineRun(CONFIG, IntScorer()).feed(script.events, cuts=range(1, 40, 7))
    assert_equal_runs(run, OracleRun(CONFIG).feed(script.events))
    assert any(alert["by_sweep"] for alert in run.alerts)
