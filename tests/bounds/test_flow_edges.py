"""The flow's limits, each at limit - 1, limit and limit + 1, over fakes of Kafka."""

import threading
import time

import pytest

from stream.core.layout import TOPICS, Outcome
from stream.core.plan import Plan, Scores
from stream.flow.stops import StuckError
from stream.shell.batches import HEADER
from stream.shell.chunk import ChunkLimits, FetchedChunk, new_scratch, take_chunk
from tests.bounds.edges import clicks, partition_of_records
from tests.flow.fakes import WRITTEN_MS, FakeChunk, FakeTransaction, Rig, make_rig
from tests.flow.test_worker import START, until
from tests.oracle.int_scorer import IntScorer
from tests.shell.batch_making import make_batch, partition_records, read_chunks

THREE = (-1, 0, 1)
MINUTE_MS = 60_000


@pytest.mark.parametrize("beyond", THREE)
async def test_a_topic_is_held_back_beyond_its_bytes(beyond: int) -> None:
    records = clicks(10, size=500)
    rig = make_rig(IntScorer(), topic_bytes_max=sum(len(v) for _, v in records) - beyond)
    rig.worker.start()
    await rig.worker.on_assigned(START)
    rig.worker.on_chunk(FakeChunk("clicks", 0, 0, records, 10))
    assert rig.fetching.holds == (1 if beyond > 0 else 0)
    for name in TOPICS[1:]:
        rig.worker.on_chunk(FakeChunk(name, 0, 0, [], 0))
    await until(lambda: not rig.fetching.held, "the topic to be fetched again")
    rig.worker.stop(5)
    assert rig.failures == []


@pytest.mark.parametrize("beyond", THREE)
def test_rows_beyond_an_age_tell_each_users_last(beyond: int) -> None:
    """An age is that of the newest record."""
    partition, pool = partition_of_records(clicks(3), 10, catch_up_ms=MINUTE_MS)
    taken = partition.take(64, WRITTEN_MS)
    assert taken is not None
    applied = partition.apply(taken, WRITTEN_MS + MINUTE_MS + beyond)
    told = [Outcome.PREDICTED] * 3
    if beyond > 0:
        told[:2] = [Outcome.COALESCED] * 2
    assert applied.rows["outcome"].tolist() == told
    pool.shutdown()


@pytest.mark.parametrize("beyond", THREE)
def test_dead_letters_a_minute_slow_the_partition_down(beyond: int) -> None:
    """It waits for the next minute; nothing is dropped."""
    records = [(b"ann", b"{")] * (40 + beyond) + clicks(3)
    partition, pool = partition_of_records(records, dead_letters_per_minute_max=40)
    scorer = IntScorer()
    scorer.open(0, 8)
    now_ms = 7 * MINUTE_MS

    def turn(rows_max: int, now_ms: int) -> int | None:
        taken = partition.take(rows_max, now_ms)
        if taken is None:
            return None
        applied = partition.apply(taken, now_ms)
        settled = partition.engine.settle(applied, scorer.score(0, applied.plan))
        partition.note_settled(taken, settled, now_ms)
        return len(settled.rows)

    assert turn(40 + beyond, now_ms) == 40 + beyond
    later = turn(64, now_ms + MINUTE_MS - 1)
    assert later == (None if beyond > 0 else 3)
    if beyond > 0:
        assert turn(64, now_ms + MINUTE_MS) == 3
    assert partition.outcomes["dead_lettered"] == 40 + beyond
    assert partition.outcomes["predicted"] == 3
    pool.shutdown()


@pytest.mark.parametrize("count", [63, 64, 65])
async def test_a_step_takes_no_more_rows_than_agreed(count: int) -> None:
    seen: list[int] = []

    class Watching(IntScorer):
        def score(self, partition: int, plan: Plan) -> Scores:
            seen.append(len(plan.row_step))
            return super().score(partition, plan)

    rig = await played(count, scorer=Watching(), batch_events_max=64)
    assert max(seen) == min(count, 64)
    assert sum(seen) == count
    assert rig.failures == []


@pytest.mark.parametrize("count", [79, 80, 81])
async def test_a_transaction_takes_no_more_rows_than_agreed(count: int) -> None:
    """The commit begins when a further batch might take it past the limit."""
    rows = await rows_by_commit(count, commit_events_max=80, batch_events_max=20)
    assert sum(rows) == count
    assert max(rows) <= 80
    assert len(rows) >= 2 if count > 80 else True


@pytest.mark.parametrize("at_once_rows_max", [0, 4])
async def test_nor_while_the_one_before_is_committed_and_a_batch_is_scored(
    at_once_rows_max: int,
) -> None:
    rows = await rows_by_commit(
        100, 0.01, commit_events_max=4, batch_events_max=4, at_once_rows_max=at_once_rows_max
    )
    assert (sum(rows), max(rows)) == (100, 4)


async def test_a_transaction_ends_with_the_batch_that_takes_it_past_its_bytes() -> None:
    """About: what is produced for 64 rows of 500 bytes and more is what a batch may add."""
    small = await rows_by_commit(200, commit_bytes_max=20_000, batch_events_max=10)
    large = await rows_by_commit(200, commit_bytes_max=1 << 20, batch_events_max=10)
    assert sum(small) == sum(large) == 200
    assert len(small) > 2 * len(large)
    assert max(small) < max(large)


async def played(count: int, scorer: IntScorer | None = None, **changed: int) -> Rig:
    rig = make_rig(scorer or IntScorer(), **changed)
    await play_into(rig, count)
    return rig


async def begin(rig: Rig, count: int) -> None:
    """Start a worker and give it clicks, all there, and the other topics caught up."""
    rig.worker.start()
    await rig.worker.on_assigned(START)
    rig.worker.on_chunk(FakeChunk("clicks", 0, 0, clicks(count), count))
    for name in TOPICS[1:]:
        rig.worker.on_chunk(FakeChunk(name, 0, 0, [], 0))


async def play_into(rig: Rig, count: int) -> None:
    await begin(rig, count)
    await until(lambda: rig.transaction.offsets.get(("clicks", 0)) == count, "the commits")
    rig.worker.stop(5)


async def rows_by_commit(count: int, commit_s: float = 0.0, **changed: int) -> list[int]:
    """Count the rows of each transaction; the interval never starts one but the last."""
    transaction = FakeTransaction()
    rows: list[int] = []

    def before_commit() -> None:
        rows.append(sum(topic == "predictions" for topic, *_ in transaction.open))
        time.sleep(commit_s)  # a slow broker

    transaction.before_commit = before_commit
    rig = make_rig(IntScorer(), transaction=transaction, commit_interval_s=1.5, **changed)
    await play_into(rig, count)
    assert rig.failures == []
    return [number for number in rows if number]


@pytest.mark.parametrize(("takes_s", "stops"), [(0.0, False), (1.0, True)])
async def test_a_step_beyond_its_deadline_stops_the_worker(takes_s: float, stops: bool) -> None:
    class Slow(IntScorer):
        def score(self, partition: int, plan: Plan) -> Scores:
            time.sleep(takes_s)
            return super().score(partition, plan)

    rig = make_rig(Slow(), batch_deadline_s=0.5, at_once_rows_max=0)
    await begin(rig, 3)
    await until(
        lambda: bool(rig.failures) or rig.transaction.offsets.get(("clicks", 0)) == 3, "an end"
    )
    rig.worker.stop(5)
    assert [type(error) for error in rig.failures] == ([StuckError] if stops else [])
    assert (rig.transaction.offsets == {}) == stops


async def test_a_small_step_beyond_its_deadline_is_seen_by_the_watchdog() -> None:
    """It is scored on the worker's own thread, where nobody waits for it with a deadline."""
    goes_on = threading.Event()

    class Hanging(IntScorer):
        def score(self, partition: int, plan: Plan) -> Scores:
            goes_on.wait(30)
            return super().score(partition, plan)

    rig = make_rig(Hanging(), batch_deadline_s=0.3, at_once_rows_max=3)
    await begin(rig, 3)
    await until(lambda: rig.worker.stuck() is not None, "the watchdog to see it")
    goes_on.set()
    await until(lambda: rig.transaction.offsets.get(("clicks", 0)) == 3, "the commit")
    assert rig.worker.stuck() is None
    rig.worker.stop(5)


@pytest.mark.parametrize("beyond", THREE)
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_chunk_covers_no_more_offsets_than_agreed(beyond: int, codec: str) -> None:
    """A batch of very many small records is handed out in parts, and none twice."""
    count = 50 + beyond
    raw = make_batch(7, [(7 + n, None, b"") for n in range(count)], codec=codec)
    chunks = read_chunks(raw, 7, [], ChunkLimits(1 << 20, 1 << 20, offsets_max=50))
    sizes = [len(chunk.records().offsets) for chunk in chunks]
    assert sizes == ([50, 1] if beyond > 0 else [count])
    offsets = [offset for chunk in chunks for offset in chunk.records().offsets.tolist()]
    assert offsets == list(range(7, 7 + count))
    assert sum(chunk.bytes_count for chunk in chunks) == len(raw)


@pytest.mark.parametrize("beyond", THREE)
def test_an_unreadable_batch_is_handed_out_in_parts_too(beyond: int) -> None:
    count = 50 + beyond
    raw = make_batch(7, [(7 + n, None, b"v" * 99) for n in range(count)], codec="zstd")
    chunks = read_chunks(raw, 7, [], ChunkLimits(HEADER.size, HEADER.size, offsets_max=50))
    assert [chunk.unreadable for chunk in chunks] == ([50, 1] if beyond > 0 else [count])


def test_a_batch_that_covers_two_thousand_million_offsets_costs_a_part_at_a_time() -> None:
    """What a bomb of tiny records would be, were it read at once."""
    raw = make_batch(0, [(0, b"k", b"v" * 300)], codec="zstd", last=2**31 - 2)
    limits = ChunkLimits(100, 100, offsets_max=1000)
    chunk = FetchedChunk("clicks", 0, 0, 10**9, 1)
    assert not take_chunk(chunk, partition_records(raw, 0, []), limits, new_scratch(limits))
    assert (chunk.offset_next, len(chunk.records().offsets)) == (1000, 1000)
