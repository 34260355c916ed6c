"""Few rows of several partitions are scored in one call; what comes out is the same."""

from collections.abc import Sequence

import pytest

from stream.core.layout import TOPICS
from stream.core.plan import Plan, Scores
from stream.flow.crash_note import CrashNote
from stream.flow.stops import EngineError
from tests.flow.fakes import FakeNotes, Rig, make_rig, serving
from tests.flow.test_flights import begin, finish, told
from tests.flow.test_worker import until
from tests.oracle.int_scorer import IntScorer

PARTITIONS = 3


class Counting(IntScorer):
    """Notes the partitions and rows of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict[int, int]] = []

    def score_together(self, parts: Sequence[tuple[int, Plan]]) -> list[Scores]:
        self.calls.append({number: len(plan.row_step) for number, plan in parts})
        assert len(self.calls[-1]) == len(parts), "a partition is in a call once"
        return super().score_together(parts)


class FailsTogether(IntScorer):
    """Raises whenever more than one plan comes."""

    def score_together(self, parts: Sequence[tuple[int, Plan]]) -> list[Scores]:
        if len(parts) > 1:
            raise FloatingPointError("one of them")
        return super().score_together(parts)


async def played(scorer: IntScorer, at_once_rows_max: int, **changed: int) -> Rig:
    rig = make_rig(
        scorer, partitions=PARTITIONS, batch_events_max=16, at_once_rows_max=at_once_rows_max,
        commit_interval_s=0.5, **changed,
    )  # fmt: skip
    await finish(rig, PARTITIONS, 400)
    return rig


async def test_what_comes_out_is_that_of_one_call_a_batch() -> None:
    scorer = Counting()
    alone, together = await played(Counting(), 0), await played(scorer, 64)
    assert told(alone) == told(together)
    assert len(told(together)) > 250
    assert any(len(call) == PARTITIONS for call in scorer.calls)


async def test_the_metrics_count_each_batch_once_however_many_they_hear_of_together() -> None:
    for at_once_rows_max in (0, 64):
        rig = await played(IntScorer(), at_once_rows_max)
        series = rig.metrics.series
        predicted = [
            series.number("predictions_total", child)
            for child in series.children("predictions_total")
        ]
        _, scores = series.buckets("prediction_score", ("purchase",))
        assert sum(predicted) == scores.sum() == len(told(rig)) > 250


async def test_a_call_of_several_has_at_most_the_limit() -> None:
    scorer = Counting()
    await played(scorer, 20)
    joined = [list(call.values()) for call in scorer.calls if len(call) > 1]
    assert joined
    assert max(sum(rows) for rows in joined) <= 20


async def test_without_a_limit_above_none_each_batch_has_a_call() -> None:
    scorer = Counting()
    await played(scorer, 0)
    assert {len(call) for call in scorer.calls} == {1}


async def test_beside_a_candidate_each_batch_has_a_call() -> None:
    scorer = Counting()
    rig = make_rig(scorer, partitions=PARTITIONS, batch_events_max=16, at_once_rows_max=64)
    rig.models.offer(serving(IntScorer(), "m-2"), promote=False)
    await finish(rig, PARTITIONS, 400)
    assert {len(call) for call in scorer.calls} == {1}


async def test_of_a_call_that_fails_every_batch_is_noted_and_tried_row_by_row() -> None:
    notes = FakeNotes()
    rig = make_rig(
        FailsTogether(), notes=notes, partitions=PARTITIONS, batch_events_max=16,
        at_once_rows_max=64,
    )  # fmt: skip
    first = await until_it_fails(rig)
    assert isinstance(first, EngineError)
    noted = {number: note for number, note in notes.notes.items() if note.failures}
    assert len(noted) > 1
    again = make_rig(  # it is still at fault: no call may have two of them before these are passed
        FailsTogether(), notes=notes, partitions=PARTITIONS, batch_events_max=16,
        at_once_rows_max=64, commit_interval_s=0.0,
    )  # fmt: skip
    await until_it_fails(again)
    for number, note in noted.items():
        for topic, after in zip(TOPICS, note.offset_next, strict=True):
            assert again.transaction.offsets[(topic, number)] >= after, "it has gone on"


async def until_it_fails(rig: Rig) -> Exception:
    await begin(rig, PARTITIONS, 400)
    await until(lambda: bool(rig.failures), "a failure")
    rig.worker.stop(5)
    return rig.failures[0]


@pytest.mark.parametrize("suspect", range(PARTITIONS))
async def test_a_suspect_among_them_is_examined_before_any_is_applied(suspect: int) -> None:
    notes = FakeNotes()
    notes.notes[suspect] = CrashNote((0, 0, 0), (3, 3, 3), 1, "x", ())
    rig = make_rig(
        IntScorer(), notes=notes, partitions=PARTITIONS, batch_events_max=16, at_once_rows_max=64,
    )  # fmt: skip
    pending = []
    try_score = rig.models.try_score

    def tried(plan: Plan) -> Scores:
        pending.append([p.number for p in rig.worker._partitions if p.engine._pending])
        return try_score(plan)

    rig.models.try_score = tried  # type: ignore[method-assign]
    await finish(rig, PARTITIONS, 300)
    assert pending
    assert all(found == [] for found in pending)
