"""Small batches stay on the worker's thread; what comes out is the same."""

import threading

import pytest

from stream.core.plan import Plan, Scores
from tests.flow.fakes import Rig, make_rig, serving
from tests.flow.logs import chunks_of, shop_log
from tests.flow.test_models import Feed, predictions
from tests.flow.test_worker import START, until
from tests.oracle.int_scorer import IntScorer


class Named(IntScorer):
    """Notes the thread on which it scores."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()

    def score(self, partition: int, plan: Plan) -> Scores:
        self.threads.add(threading.current_thread().name.rstrip("0123456789_"))
        return super().score(partition, plan)


async def played(scorer: Named, at_once_rows_max: int) -> Rig:
    rig = make_rig(scorer, batch_events_max=8, at_once_rows_max=at_once_rows_max)
    rig.worker.start()
    await rig.worker.on_assigned(START)
    log = shop_log(21, 400)
    for chunk in chunks_of(log, 30):
        rig.worker.on_chunk(chunk)
    ends = {("clicks", 0): len(log[0])}
    await until(lambda: ends.items() <= rig.transaction.offsets.items(), "the clicks")
    rig.worker.stop(5)
    assert rig.failures == []
    return rig


@pytest.mark.parametrize(
    ("at_once_rows_max", "thread"), [(0, "score"), (7, "score"), (8, "worker")]
)
async def test_a_batch_up_to_the_limit_is_scored_where_it_is_applied(
    at_once_rows_max: int, thread: str
) -> None:
    scorer = Named()
    await played(scorer, at_once_rows_max)
    assert thread in scorer.threads
    assert (scorer.threads == {thread}) == (at_once_rows_max != 7)


async def test_what_comes_out_is_the_same() -> None:
    hopping, at_once = await played(Named(), 0), await played(Named(), 64)
    assert predictions(hopping) == predictions(at_once)
    assert len(predictions(at_once)) > 300


async def test_beside_a_candidate_all_is_scored_on_one_thread() -> None:
    scorer, beside = Named(), Named()
    feed = Feed(shop_log(22, 300), scorer, batch_events_max=8, at_once_rows_max=8)
    feed.rig.models.offer(serving(beside, "m-2"), promote=False)
    await feed.start()
    await feed.finish()
    assert scorer.threads == beside.threads == {"score"}
