"""Restore and start on a real broker: tails of transactions, refusals, kills, late hand-over."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.flow.stops import (
    HandOverError,
    RestoreError,
    RetentionLostError,
    StartRefusedError,
    WorkerStopError,
)
from tests.kafka_tools import produce, read_all
from tests.shell.toy import (
    HEADER_KEY,
    INPUTS,
    ToyWorker,
    applied_count,
    check_exactly_once,
    feed,
    wait_for,
)

pytestmark = pytest.mark.kafka

SHORT = {"batch_deadline_s": 0.5, "commit_deadline_s": 1.0, "transaction_timeout_s": 2.0}
NOBODY = b"CGMDv2:\xff\xff\xff\xff%s\x00\x00\x01"  # of a group without members


async def run_once(kafka: str, names: Any, group: str, total: int, **conf: Any) -> ToyWorker:
    """Let a worker apply what is there, stop it."""
    worker = ToyWorker(kafka, names, 0, group, **conf)
    await worker.start()
    await wait_for(lambda: applied_count([worker]) == total, f"{total} records")
    await worker.stop()
    assert worker.app.failure is None
    return worker


async def refused(worker: ToyWorker) -> WorkerStopError:
    """Start a worker that must not start; its reason."""
    start = asyncio.create_task(worker.start())
    await wait_for(lambda: worker.app.failure is not None, "a refusal")
    assert not worker.flow.chunks
    start.cancel()
    await worker.stop()
    assert worker.app.failure is not None
    return worker.app.failure


def transactional(kafka: str, name: str) -> Producer:
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": name,
                         "transaction.timeout.ms": 60_000})  # fmt: skip
    producer.init_transactions(30)
    producer.begin_transaction()
    return producer


async def test_tombstones_and_an_aborted_tail(kafka: str, names: Any, group: str) -> None:
    feed(kafka, names, 200)
    before = await run_once(kafka, names, group, 600)
    partition = next(p for p, counts in before.store.counts.items() if b"user-1" in counts)
    produce(kafka, names["user-state"], [(b"user-1", None)], partition=partition)
    tail = transactional(kafka, f"{group}-tail")
    for number in range(4):
        tail.produce(names["user-state"], b"999", b"user-2", number)
    tail.flush(10)
    tail.abort_transaction(10)
    again = ToyWorker(kafka, names, 0, group)
    await again.start()
    try:
        await wait_for(lambda: len(again.partitions) == 4, "the restore", 10.0)
        expected = {p: dict(counts) for p, counts in before.store.counts.items()}
        del expected[partition][b"user-1"]
        assert {p: dict(counts) for p, counts in again.store.counts.items()} == expected
    finally:
        await again.stop()


async def test_an_open_transaction_is_waited_for_and_its_rows_count(
    kafka: str, names: Any, group: str
) -> None:
    """Another worker's commit is still on its way when this one begins to restore."""
    feed(kafka, names, 100)
    before = await run_once(kafka, names, group, 300)
    produce(kafka, names["clicks"], [(b"user-0", b"late")] * 7, partition=0)
    header = dict(before.store.header[0])
    header[names["clicks"]] += 7
    count = before.store.counts[0].get(b"user-0", 0) + 7
    other = transactional(kafka, f"{group}-other")
    other.produce(names["user-state"], b"%d" % count, b"user-0", 0)
    other.produce(names["user-state"], json.dumps(header).encode(), HEADER_KEY, 0)
    other.flush(10)
    places = [TopicPartition(topic, 0, offset) for topic, offset in header.items()]
    other.send_offsets_to_transaction(places, NOBODY % group.encode(), 10)
    worker = ToyWorker(kafka, names, 0, group)
    start = asyncio.create_task(worker.start())
    try:
        await wait_for(lambda: worker.app.tables.recovery.in_recovery, "the restore")
        await wait_for(lambda: worker.app.restore_remaining() == {0: 2}, "all before it")
        assert not start.done()
        other.commit_transaction(10)
        await start
        assert worker.store.counts[0][b"user-0"] == count
        assert worker.flow.assignments[-1][0] == header
    finally:
        await worker.stop()
    assert worker.app.failure is None


@pytest.mark.parametrize("step", [-1, 1])
async def test_group_and_header_that_disagree_are_refused(
    kafka: str, names: Any, group: str, step: int
) -> None:
    feed(kafka, names, 50)
    # A static member stays in the group for its session; this one leaves at once.
    leaves = {"faust_conf": {"consumer_group_instance_id": None}}
    before = await run_once(kafka, names, group, 150, **leaves)
    header = before.store.header[2][names["clicks"]]
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    moved = TopicPartition(names["clicks"], 2, header + step)

    def commit() -> bool:
        try:
            consumer.commit(offsets=[moved], asynchronous=False)
        except Exception:  # noqa: BLE001 the member is still there
            return False
        return True

    await wait_for(commit, "the group to be empty")
    consumer.close()
    failure = await refused(ToyWorker(kafka, names, 0, group, **SHORT))
    assert isinstance(failure, StartRefusedError)
    assert f"clicks[2]: state header {header}, group {header + step}" in str(failure)
    check_exactly_once(kafka, names, 150)


async def test_input_lost_to_retention_is_refused(kafka: str, names: Any, group: str) -> None:
    feed(kafka, names, 50)
    await run_once(kafka, names, group, 150)
    feed(kafka, names, 50, 50)
    admin = AdminClient({"bootstrap.servers": kafka})
    end = TopicPartition(names["searches"], 1, -1)
    next(iter(admin.delete_records([end]).values())).result(10)
    failure = await refused(ToyWorker(kafka, names, 0, group))
    assert isinstance(failure, RetentionLostError)
    assert f"{names['searches']}[1]" in str(failure)


async def test_state_that_cannot_be_applied_ends_the_start(
    kafka: str, names: Any, group: str
) -> None:
    feed(kafka, names, 50)
    await run_once(kafka, names, group, 150)
    produce(kafka, names["user-state"], [(b"user-1", b"no number")], partition=3)
    failure = await refused(ToyWorker(kafka, names, 0, group))
    assert isinstance(failure, RestoreError)
    assert "no number" in str(failure)


async def test_a_hand_over_that_is_late_ends_the_worker(kafka: str, names: Any, group: str) -> None:
    worker = ToyWorker(kafka, names, 0, group)
    await worker.start()
    worker.app.hand_over_deadline_s = 0.3

    async def never(partitions: frozenset[int]) -> None:
        await asyncio.Event().wait()

    worker.flow.on_revoked = never  # type: ignore[method-assign]
    await worker.stop()
    assert isinstance(worker.app.failure, HandOverError)
    assert "[0, 1, 2, 3]" in str(worker.app.failure)


async def start_process(kafka: str, names: Mapping[str, str], group: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.shell.toy", kafka, group, "0", json.dumps(dict(names)),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 40) == b"ready\n"
    return process


async def test_killed_twice_nothing_lost_nothing_twice(kafka: str, names: Any, group: str) -> None:
    dice = random.Random(7)
    total = 0
    for _ in range(2):
        process = await start_process(kafka, names, group)
        try:
            seen = len(read_all(kafka, names["out"]))
            for _ in range(4):
                feed(kafka, names, 100, total)
                total += 100
            await wait_for(
                lambda seen=seen: len(read_all(kafka, names["out"])) > seen + dice.randrange(200),
                "some outputs",
            )
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
    worker = ToyWorker(kafka, names, 0, group)
    await worker.start()
    try:
        await wait_for(lambda: applied_count([worker]) == 3 * total, "all records")
    finally:
        await worker.stop()
    assert worker.app.failure is None
    check_exactly_once(kafka, names, len(INPUTS) * total)
