"""The transport, table and transaction together, on a real broker, with a toy flow."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from confluent_kafka import Producer

from stream.flow.stops import PartitionsDifferError
from tests.kafka_tools import produce, read_all
from tests.shell.toy import (
    INPUTS,
    ToyWorker,
    applied_count,
    check_exactly_once,
    feed,
    running,
    wait_for,
)

pytestmark = pytest.mark.kafka

PARTITIONS = 4


async def test_chunks_tile_and_state_is_exact(kafka: str, names: Any, group: str) -> None:
    feed(kafka, names, 500)
    worker = ToyWorker(kafka, names, 0, group)
    await worker.start()
    try:
        await wait_for(lambda: applied_count([worker]) == 1500, "1500 records")
        feed(kafka, names, 100, 500)
        await wait_for(lambda: applied_count([worker]) == 1800, "1800 records")
    finally:
        await worker.stop()
    assert worker.app.failure is None
    check_exactly_once(kafka, names, 1800)
    tiles: dict[tuple[str, int], int] = Counter()
    for topic, partition, first, after, end in worker.flow.chunks:
        assert first == tiles[topic, partition]
        assert after <= end
        tiles[topic, partition] = after
    assert sum(tiles.values()) == 1800
    assert worker.flow.revocations == [frozenset(range(PARTITIONS))]


async def test_an_empty_topic_tells_that_it_stands_at_its_end(
    kafka: str, names: Any, group: str
) -> None:
    produce(kafka, names["clicks"], [(b"user-1", b"x")], partition=0)
    worker = ToyWorker(kafka, names, 0, group)
    await worker.start()
    try:

        def told() -> set[tuple[str, int]]:
            return {(t, p) for t, p, _, after, end in worker.flow.chunks if after == end}

        await wait_for(lambda: len(told()) == 3 * PARTITIONS, "an end of each partition")
    finally:
        await worker.stop()
    assert sum(after - first for _, _, first, after, _ in worker.flow.chunks) == 1


async def test_restart_goes_on_where_the_header_says(kafka: str, names: Any, group: str) -> None:
    feed(kafka, names, 200)
    for round_number in range(3):
        worker = ToyWorker(kafka, names, 0, group)
        await worker.start()
        total = 600 + 300 * round_number
        feed(kafka, names, 100, 200 + 100 * round_number)
        await wait_for(lambda: applied_count([worker]) == total + 300, "all records")  # noqa: B023
        await worker.stop()
        assert worker.app.failure is None
        if round_number:
            assert sum(a - f for _, _, f, a, _ in worker.flow.chunks) == 300
            assert worker.store.restored_rows > 0
    check_exactly_once(kafka, names, 1500)


async def test_join_and_leave(kafka: str, names: Any, group: str) -> None:
    feed(kafka, names, 300)
    first = ToyWorker(kafka, names, 0, group)
    second = ToyWorker(kafka, names, 1, group)
    async with running(first):
        await wait_for(lambda: applied_count([first]) == 900, "all records")
        async with running(second):
            await wait_for(lambda: len(first.partitions) == len(second.partitions) == 2, "a split")
            feed(kafka, names, 100, 300)
            await wait_for(lambda: applied_count([first, second]) == 1200, "1200 records")
            assert not first.partitions & second.partitions
            assert set(first.store.dropped) == second.partitions
        feed(kafka, names, 100, 400)
        # A static member that left counts as gone only after its session.
        await wait_for(lambda: applied_count([first]) == 1500, "all records")
    assert first.app.failure is None
    assert second.app.failure is None
    check_exactly_once(kafka, names, 1500)


async def test_storm_of_rebalances(kafka: str, names: Any, group: str) -> None:
    """Members come and go while records flow: nothing lost, nothing twice."""
    dynamic = {"faust_conf": {"consumer_group_instance_id": None}}
    steady = ToyWorker(kafka, names, 0, group, **dynamic)
    await steady.start()
    total = 0
    try:
        for number in range(1, 6):
            guest = ToyWorker(kafka, names, number, group, **dynamic)
            feed(kafka, names, 60, total)
            await guest.start()
            feed(kafka, names, 60, total + 60)
            total += 120
            await guest.stop()
            assert guest.app.failure is None
        await wait_for(lambda: applied_count([steady]) == 3 * total, "all records")
    finally:
        await steady.stop()
    assert steady.app.failure is None
    assert len(steady.flow.assignments) >= 6
    check_exactly_once(kafka, names, 3 * total)


async def test_standby_is_promoted_without_a_restore(kafka: str, names: Any, group: str) -> None:
    conf = {"standby_replicas": 1, "faust_conf": {"consumer_group_instance_id": None}}
    first = ToyWorker(kafka, names, 0, group, **conf)
    second = ToyWorker(kafka, names, 1, group, **conf)
    await first.start()
    await second.start()
    try:
        feed(kafka, names, 200)
        await wait_for(lambda: len(first.partitions) == len(second.partitions) == 2, "a split")
        await wait_for(lambda: applied_count([first, second]) == 600, "600 records")

        def warm() -> bool:
            return all(
                one.store.counts[p] == other.store.counts[p]
                for one, other in ((first, second), (second, first))
                for p in other.partitions
            )

        await wait_for(warm, "standbys that hold the same state")
        rows_before = first.store.restored_rows
        await second.stop()
        await wait_for(lambda: len(first.partitions) == PARTITIONS, "promotion")
        assert first.store.dropped == []
        assert first.store.restored_rows - rows_before < 20  # not the 37 users again
        feed(kafka, names, 50, 200)
        await wait_for(lambda: applied_count([first]) == 750, "750 records")
    finally:
        await first.stop()
    assert first.app.failure is second.app.failure is None
    check_exactly_once(kafka, names, 750)


async def test_stock_topic_beside_chunk_topics(kafka: str, names: Any, group: str) -> None:
    """Another agent reads records one by one, acks and commits as in any Faust app."""
    worker = ToyWorker(kafka, names, 0, group)
    topic = worker.app.topic(names["stock"], value_type=bytes, value_serializer="raw")
    seen: list[bytes] = []

    @worker.app.agent(topic, name="stock")
    async def stock(stream: Any) -> None:
        async for value in stream:
            seen.append(value)  # noqa: PERF401 a stream has no end

    produce(kafka, names["stock"], [(b"%d" % n, b"first-%d" % n) for n in range(50)])
    feed(kafka, names, 50)
    await worker.start()
    try:
        await wait_for(lambda: len(seen) == 50 and applied_count([worker]) == 150, "both")
    finally:
        await worker.stop()
    assert worker.app.failure is None
    again = ToyWorker(kafka, names, 0, group)
    topic = again.app.topic(names["stock"], value_type=bytes, value_serializer="raw")
    later: list[bytes] = []

    @again.app.agent(topic, name="stock")
    async def stock_again(stream: Any) -> None:
        async for value in stream:
            later.append(value)  # noqa: PERF401

    await again.start()
    try:
        produce(kafka, names["stock"], [(b"%d" % n, b"second-%d" % n) for n in range(50)])
        await wait_for(lambda: len(later) >= 50, "the rest")
    finally:
        await again.stop()
    assert sorted(later) == sorted(b"second-%d" % n for n in range(50))
    check_exactly_once(kafka, names, 150)


async def test_held_partition_waits_and_others_go_on(kafka: str, names: Any, group: str) -> None:
    worker = ToyWorker(kafka, names, 0, group)
    await worker.start()
    held = (names["clicks"], 0)

    def applied(topic: str, partition: int) -> int:
        return worker.flow.next[partition][names[topic]]

    try:
        await wait_for(lambda: len(worker.partitions) == PARTITIONS, "an assignment")
        worker.app.hold(*held)
        await wait_for(lambda: worker.app.is_held(*held), "the hold")
        for number in range(20):
            produce(kafka, names["clicks"], [(b"user-0", b"x")], partition=0)
            produce(kafka, names["searches"], [(b"user-0", b"x")], partition=0)
            await wait_for(
                lambda: applied("searches", 0) == number + 1,  # noqa: B023
                "the other topic, within a fetch or two", 2.0,
            )  # fmt: skip
        assert applied("clicks", 0) == 0
        worker.app.release(*held)
        await wait_for(lambda: applied("clicks", 0) == 20, "what was held", 2.0)
    finally:
        await worker.stop()
    check_exactly_once(kafka, names, 40)


async def test_a_topic_rests_while_its_broker_is_not_asked(
    kafka: str, names: Any, group: str
) -> None:
    worker = ToyWorker(kafka, names, 0, group)
    await worker.start()
    producer = Producer({"bootstrap.servers": kafka, "linger.ms": 0})
    asked: list[bool] = []

    def rests(position: int) -> bool:
        return worker.app.rests(names["searches"], 0, position, int(time.time() * 1000) + 1)

    try:
        await wait_for(lambda: len(worker.partitions) == PARTITIONS, "an assignment")
        await wait_for(lambda: not rests(0), "a pause, in which the broker holds a fetch")
        deadline = time.monotonic() + 10
        while not any(asked) and time.monotonic() < deadline:
            producer.produce(names["clicks"], b"x", b"user-0", 0)
            producer.poll(0)
            await asyncio.sleep(0.001)
            asked.append(rests(0))
            assert not rests(1), "that much was not fetched"
        assert any(asked)
        assert not worker.app.rests(names["searches"], 0, 0, int(time.time() * 1000) + 1000)
    finally:
        producer.flush(10)
        await worker.stop()


async def test_different_partition_counts_are_refused(
    kafka: str, names: Any, make_topics: Any, group: str
) -> None:
    other = make_topics(["other"], PARTITIONS + 1)["other"]
    worker = ToyWorker(kafka, {**names, "searches": other}, 0, group)
    start = asyncio.create_task(worker.start())
    await wait_for(lambda: worker.app.failure is not None, "a refusal")
    assert isinstance(worker.app.failure, PartitionsDifferError)
    assert f"{other} {PARTITIONS + 1}" in str(worker.app.failure)
    assert "topics apply" in str(worker.app.failure)
    start.cancel()
    await worker.stop()
    assert read_all(kafka, names["out"]) == []
    assert INPUTS  # three of them, by the contract
