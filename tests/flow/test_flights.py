"""Two batches of two partitions are with the scorer at once; one partition's are not."""

import asyncio
import time

from stream.core.layout import TOPICS
from stream.core.plan import Plan, Scores
from stream.flow.crash_note import CrashNote
from stream.wire.murmur2 import partition_of
from tests.flow.fakes import FakeNotes, FakeTransaction, Rig, make_rig
from tests.flow.logs import Log, chunks_of, shop_log
from tests.flow.test_worker import until
from tests.oracle.int_scorer import IntScorer


def split(log: Log, partitions: int) -> list[Log]:
    """Give each partition its users' records."""
    parts: list[Log] = [([], [], []) for _ in range(partitions)]
    for topic, records in enumerate(log):
        for key, value in records:
            parts[partition_of(key or b"", partitions)][topic].append((key, value))
    return parts


class Watching(IntScorer):
    """Scores only once `batches` wait, or none more can come; notes how many waited."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.rig: Rig | None = None
        self.batches = batches
        self.waiting: set[tuple[int, ...]] = set()

    def score(self, partition: int, plan: Plan) -> Scores:
        assert self.rig is not None
        flights = self.rig.worker._flights
        deadline = time.monotonic() + 0.1
        while len(flights) < self.batches and time.monotonic() < deadline:
            time.sleep(0.001)
        self.waiting.add(tuple(flight.partition.number for flight in list(flights._flights)))
        return super().score(partition, plan)


async def played(partitions: int, scorer: IntScorer) -> Rig:
    transaction = FakeTransaction()
    rig = make_rig(
        scorer, transaction=transaction, partitions=partitions, batch_events_max=16,
        at_once_rows_max=0, commit_interval_s=0.5,
    )  # fmt: skip
    if isinstance(scorer, Watching):
        scorer.rig = rig
    await finish(rig, partitions, 400)
    return rig


async def finish(rig: Rig, partitions: int, count: int) -> None:
    """Have the worker take a log of so many records, and stop it."""
    ends = await begin(rig, partitions, count)
    await until(
        lambda: bool(rig.failures) or rig.transaction.offsets == ends, "all to be committed"
    )
    rig.worker.stop(5)
    assert rig.failures == []


async def begin(rig: Rig, partitions: int, count: int) -> dict[tuple[str, int], int]:
    """Have the worker take a log of so many records; returns where it ends."""
    rig.worker.start()
    await rig.worker.on_assigned({n: dict.fromkeys(TOPICS, 0) for n in range(partitions)})
    ends = {}
    for number, log in enumerate(split(shop_log(31, count), partitions)):
        for chunk in chunks_of(log, 1000):
            chunk.partition = number
            ends[(chunk.topic, number)] = len(chunk.records_list)
            rig.worker.on_chunk(chunk)
    return ends


def told(rig: Rig) -> list[tuple[int, bytes | None]]:
    """Give predictions by partition, each in its order, without the time of sending."""
    found = [
        (number, key) for name, number, key, _ in rig.transaction.committed if name == "predictions"
    ]
    return sorted(found, key=lambda entry: entry[0])


async def test_batches_of_two_partitions_are_scored_side_by_side() -> None:
    scorer = Watching(2)
    await played(2, scorer)
    assert any(len(waiting) == 2 for waiting in scorer.waiting)
    assert all(len(set(waiting)) == len(waiting) for waiting in scorer.waiting)


async def test_of_one_partition_the_next_batch_waits() -> None:
    scorer = Watching(2)
    await played(1, scorer)
    assert scorer.waiting <= {(0,), ()}, "() while it is being landed"


async def test_what_comes_out_is_that_of_a_scorer_that_is_never_waited_for() -> None:
    rig, slow = await played(3, IntScorer()), await played(3, Watching(2))
    assert told(rig) == told(slow)
    assert len(told(rig)) > 250


async def test_a_commit_at_a_hand_over_is_no_stuck_step() -> None:
    """The step's deadline is the batch's; a commit has a longer one of its own."""
    transaction = FakeTransaction()
    rig = make_rig(
        IntScorer(), transaction=transaction, batch_events_max=16, at_once_rows_max=0,
        commit_interval_s=60.0, commit_events_max=100_000, batch_deadline_s=0.3,
    )  # fmt: skip
    rig.worker._committed_at = time.monotonic()
    rig.worker.start()
    await rig.worker.on_assigned({0: dict.fromkeys(TOPICS, 0)})
    transaction.before_commit = lambda: time.sleep(0.9)
    for chunk in chunks_of(shop_log(31, 400), 1000):
        rig.worker.on_chunk(chunk)
    handing = asyncio.ensure_future(rig.worker.on_revoked(frozenset({0})))
    said = []
    while not handing.done():
        said.append(rig.worker.stuck())
        await asyncio.sleep(0.02)
    await handing
    rig.worker.stop(5)
    assert set(said) == {None}
    assert rig.failures == []


async def test_nothing_is_in_flight_while_rows_are_tried_alone() -> None:
    notes = FakeNotes()
    notes.notes[1] = CrashNote((0, 0, 0), (3, 3, 3), 1, "x", ())
    rig = make_rig(
        IntScorer(), notes=notes, partitions=2, batch_events_max=16, at_once_rows_max=0,
        commit_interval_s=0.5,
    )  # fmt: skip
    in_flight = []
    try_score = rig.models.try_score

    def tried(plan: Plan) -> Scores:
        in_flight.append(len(rig.worker._flights))
        return try_score(plan)

    rig.models.try_score = tried  # type: ignore[method-assign]
    await finish(rig, 2, 300)
    assert in_flight
    assert set(in_flight) == {0}
