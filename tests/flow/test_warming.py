"""Which pool rows are warm: what can be carried stays, what cannot is rebuilt, in turn."""

from dataclasses import replace

import numpy as np
import pytest

from stream.core.plan import Plan
from stream.flow.comparison import compare, item_map
from stream.flow.warming import SAMPLE_SEGMENTS, Warming
from tests.core.test_properties_carry import script_of
from tests.oracle.int_scorer import IntScorer
from tests.oracle.runs import PARTITION, EngineRun
from tests.strategies.streams import CONFIGS

CONFIG = replace(CONFIGS[0], window_steps=8, refresh_steps=4, users_max=16, hidden_users_max=16)


class Noted(IntScorer):
    """Keeps its plans."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[Plan] = []

    def score(self, partition: int, plan: Plan):
        self.plans.append(plan)
        return super().score(partition, plan)


def opened(*, carries: bool = True) -> Warming:
    warming = Warming(carries)
    warming.open(PARTITION, CONFIG.hidden_users_max)
    return warming


def test_what_is_noted_is_what_the_pool_of_a_follower_holds() -> None:
    """A second scorer that runs every plan has the right state exactly in the warm rows."""
    scorer, second = Noted(), IntScorer()
    run = EngineRun(CONFIG, scorer)
    events = script_of(100, users="abcdefab").events
    run.feed(events[:20])
    warming = opened()
    second.open(PARTITION, CONFIG.hidden_users_max)
    for first in range(20, 100, 5):
        scorer.plans.clear()
        run.feed(events[first : first + 5])
        for plan in scorer.plans:
            warming.note(PARTITION, plan)
            second.score(PARTITION, plan)
        if first == 20:
            plan = warming.take(run.engine, CONFIG.refresh_steps, 1)
            assert plan is not None
            assert len(plan.pool_out) == 1
            second.score(PARTITION, plan)
        owned = run.engine.state.pool_owner >= 0
        same = second.pools[PARTITION] == scorer.pools[PARTITION]
        assert (same & owned == warming.rows(PARTITION) & owned).all()
    assert warming.cold(run.engine) == 0  # every user was rebuilt within 2 L of its events


def test_rows_are_taken_until_none_is_cold() -> None:
    run = EngineRun(CONFIG).feed(script_of(40, users="abcdefgh").events)
    warming = opened()
    taken: list[int] = []
    while (plan := warming.take(run.engine, CONFIG.refresh_steps, 16)) is not None:
        assert 1 <= len(plan.pool_out) <= 4
        taken += plan.pool_out.tolist()
    assert taken == run.engine.pool_rows(run.engine.state.pool_owner >= 0).tolist()
    assert warming.cold(run.engine) == 0


def test_with_another_l_what_a_batch_touches_is_cold() -> None:
    scorer = Noted()
    run = EngineRun(CONFIG, scorer).feed(script_of(40, users="abcdefgh").events)
    warming = opened(carries=False)
    while warming.take(run.engine, 3, 1000) is not None:
        pass
    scorer.plans.clear()
    run.feed(script_of(43, users="abcdefgh").events[40:])
    for plan in scorer.plans:
        assert not warming.note(PARTITION, plan).any()
    assert warming.cold(run.engine) == 3


@pytest.mark.parametrize(("short", "share"), [(1, 0.0), (0, 0.75)])
def test_the_share_is_of_carried_users(short: int, share: float) -> None:
    scorer = Noted()
    EngineRun(CONFIG, scorer).feed(script_of(1).events)
    warming = Warming(carries=True)
    warming.open(PARTITION, SAMPLE_SEGMENTS)
    warming.rows(PARTITION)[: SAMPLE_SEGMENTS * 3 // 4] = True
    rows = np.arange(SAMPLE_SEGMENTS - short, dtype=np.int32)
    warming.note(PARTITION, scorer.plans[0]._replace(pool_in=rows, pool_out=rows))
    assert warming.share == share


def test_agreement_is_by_the_item_not_by_its_index() -> None:
    first, second = [b"null", b'"a"', b'"b"', b'"c"'], [b"null", b'"c"', b'"a"', b'"x"']
    names = item_map(second, first)
    assert names.tolist() == [0, 3, 1, 0]
    scores = Noted()
    run = EngineRun(CONFIG, scores).feed(script_of(3, users="abc").events)
    answer = scores.score(PARTITION, scores.plans[0])
    assert run.rows
    one = answer._replace(items=np.array([[1, 2], [3, 0], [0, 0]], np.int32))
    two = answer._replace(items=np.array([[2, 1], [1, 2], [1, 2]], np.int32))
    found = compare(one, two, names)
    assert found.agreement[:2].tolist() == [0.5, 1.0]
    assert np.isnan(found.agreement[2])
    assert found.purchase.tolist() == [0, 0, 0]
    assert found.next_event.tolist() == [0, 0, 0]
    changed = two._replace(next_event=np.full((3, 3), 1 / 3, np.float32))
    assert (compare(one, changed, names).next_event > 0).all()
