"""The integer scorer's two writings agree, and its hazards make everything happen."""

from collections import Counter

import numpy as np
import pytest

from stream.core.layout import AlertState, Outcome, Reason, Resolve
from stream.core.plan import Plan
from tests.oracle.batches import steps_array
from tests.oracle.engine import OracleEngine
from tests.oracle.int_scorer import IntScorer, check_plan, score_window
from tests.oracle.records import Alert, Answer, Dropped, Row, Step
from tests.oracle.script import Played
from tests.strategies.streams import CONFIGS, seeded_moves, stream_of

STEPS = [
    Step(2**64 - 1 - k, k * 7, 1_700_000_000_000 + k, k * 4, k - 1, 2**32 - k, (k, 1, 2, 65_535))
    for k in range(1, 8)
]
GAPS = [-1, *([1] * 6)]
CONTEXT = (1, 2**32 - 1, 7)


def plan_of(
    segments: list[list[int]], pool_in: list[int], pool_out: list[int], rows: list[int]
) -> Plan:
    """Plan segments of indices into STEPS; each row is scored after one of the plan's steps."""
    flat = [step for segment in segments for step in segment]
    carried = {segment[0] for segment, row in zip(segments, pool_in, strict=True) if row < 0}
    return Plan(
        steps=steps_array([STEPS[k] for k in flat]),
        gap_ms=np.array([-1 if k in carried else 1 for k in flat], np.int64),
        segment=np.array([s for s, seg in enumerate(segments) for _ in seg], np.int32),
        wave=np.array([w for seg in segments for w in range(len(seg))], np.int32),
        pool_in=np.array(pool_in, np.int32),
        pool_out=np.array(pool_out, np.int32),
        row_step=np.array(rows, np.int32),
        head=np.zeros((len(rows), 28), np.float32),
        context=np.array([CONTEXT] * len(rows), np.uint32).reshape(-1, 3),
        recent=np.array([[5, 0, 6]] * len(rows), np.uint64).reshape(-1, 3),
        listed=np.ones(len(rows), bool),
    )


def answer_at(scorer: IntScorer, plan: Plan) -> list[Answer]:
    scores = scorer.score(3, plan)
    return [
        Answer(
            tuple(scores.next_event[b].tolist()),
            float(scores.purchase[b]),
            tuple(scores.hazard[b].tolist()),
            tuple(scores.items[b].tolist()),
            tuple(scores.item_scores[b].tolist()),
        )
        for b in range(len(plan.row_step))
    ]


def window_of(indices: range) -> Answer:
    steps = [(STEPS[k], -1 if k == indices[0] else 1) for k in indices]
    return score_window(steps, CONTEXT, frozenset({5, 6}))


def test_every_step_of_a_plan_is_scored_as_its_window() -> None:
    scorer = IntScorer()
    scorer.open(3, 4)
    whole = plan_of([list(range(7))], [-1], [-1], list(range(7)))
    assert answer_at(scorer, whole) == [window_of(range(k + 1)) for k in range(7)]


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_carried_state_is_the_rebuilt_one(cut: int) -> None:
    scorer = IntScorer()
    scorer.open(3, 4)
    answer_at(scorer, plan_of([list(range(cut))], [-1], [2], []))
    later = plan_of([list(range(cut, 7))], [2], [2], [6 - cut])
    assert answer_at(scorer, later) == [window_of(range(7))]


def test_pool_rows_are_read_before_any_is_written() -> None:
    scorer = IntScorer()
    scorer.open(3, 2)
    answer_at(scorer, plan_of([[0, 1], [0, 1, 2]], [-1, -1], [0, 1], []))
    swapped = plan_of([[2], [3]], [0, 1], [1, 0], [0, 1])
    assert answer_at(scorer, swapped) == [window_of(range(3)), window_of(range(4))]
    assert answer_at(scorer, plan_of([[4]], [0], [-1], [0])) == [window_of(range(5))]


def test_an_empty_plan_scores_nothing() -> None:
    scorer = IntScorer()
    scorer.open(3, 2)
    scores = scorer.score(3, plan_of([], [], [], []))
    assert scores.next_event.shape == (0, 3)
    assert scores.hazard.shape == (0, 8)
    assert scores.items.shape == scores.item_scores.shape == (0, 2)


def test_a_plan_that_breaks_the_rules_is_refused() -> None:
    good = plan_of([[0, 1], [2]], [-1, 1], [0, 1], [1, 2])
    check_plan(good)
    for name, value in (
        ("wave", [0, 2, 0]),
        ("pool_out", [1, 1]),
        ("gap_ms", [-1, -1, 1]),
        ("gap_ms", [0, 1, 1]),
        ("gap_ms", [-1, 1, -1]),
    ):
        broken = good._replace(**{name: np.array(value, getattr(good, name).dtype)})
        with pytest.raises(AssertionError):
            check_plan(broken)


def test_answers_are_probabilities_exact_in_float32() -> None:
    for k in range(7):
        answer = window_of(range(k + 1))
        assert sum(answer.next_event) == 1
        assert all(0 < h < 1 for h in answer.hazard)
        numbers = (*answer.next_event, answer.purchase, *answer.hazard, *answer.item_scores)
        assert all(float(np.float32(x)) == x for x in numbers)


def test_the_streams_make_everything_happen() -> None:
    seen: Counter[str] = Counter()
    fell_back = 0
    for seed, config in enumerate(CONFIGS):
        oracle = OracleEngine(config, 0, score_window)
        played = Played(oracle, stream_of(config, seeded_moves(seed, 1_500)))
        effects = [effect for effects in played.effects for effect in effects]
        for effect in effects:
            if isinstance(effect, Row):
                seen.update([effect.outcome.name, effect.reason.name, f"late {effect.late}"])
            elif isinstance(effect, Alert):
                seen.update([f"{effect.state.name} {effect.by_sweep}", effect.reason.name])
            elif isinstance(effect, Dropped):
                seen[effect.why] += 1
        after: dict[bytes, AlertState] = {}
        for effect in effects:
            if isinstance(effect, Alert):
                before = after.get(effect.user)
                fell_back += (before, effect.state) == (AlertState.RESOLVED, AlertState.FIRING)
                after[effect.user] = effect.state
    wanted = {
        *(outcome.name for outcome in Outcome if outcome != Outcome.COALESCED),
        *(reason.name for reason in Reason),
        *(reason.name for reason in Resolve),
        *("FIRING True", "CHURNED True", "RESOLVED True"),
        *("FIRING False", "RESOLVED False"),
        *("expired", "evicted", "forgotten", "late True"),
    }
    assert {name for name in wanted if seen[name] < 3} == set()
    assert fell_back > 50
