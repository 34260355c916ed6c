"""Both producers on a real broker: order, limits, fencing, aborts, deadlines."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from stream.flow.stops import (
    CommitAbortedError,
    CommitFencedError,
    CommitLateError,
    DeliveryError,
)
from stream.shell.direct import DirectProducer
from stream.shell.group import Membership
from stream.shell.producer import ProducerConfig, TooLargeError
from stream.shell.transaction import TransactionalProducer
from tests.kafka_tools import read_all

pytestmark = pytest.mark.kafka


@pytest.fixture
def topic(make_topics: Callable[..., dict[str, str]]) -> str:
    return make_topics(["out"], 2)["out"]


@pytest.fixture
def group(kafka: str, topic: str, topic_prefix: str) -> Iterator[tuple[str, Membership]]:
    """A real member of a group: its generation and member id, as the broker knows them."""
    name = f"{topic_prefix}group"
    consumer = Consumer({
        "bootstrap.servers": kafka, "group.id": name, "enable.auto.commit": False,
        "session.timeout.ms": 10_000,
    })  # fmt: skip
    consumer.subscribe([topic])
    deadline = time.monotonic() + 30
    while not consumer.assignment() and time.monotonic() < deadline:
        consumer.poll(0.1)
    raw = consumer.consumer_group_metadata()
    generation = int.from_bytes(raw[7:11], "little", signed=True)
    yield name, Membership(name, generation, consumer.memberid(), None)
    consumer.close()


def committed(kafka: str, name: str, place: tuple[str, int]) -> int:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": name})
    try:
        return int(consumer.committed([TopicPartition(*place)], timeout=10)[0].offset)
    finally:
        consumer.close()


def transactional(kafka: str, name: str, **conf: Any) -> TransactionalProducer:
    producer = TransactionalProducer(ProducerConfig(kafka, **conf), name)
    producer.start()
    return producer


def values_of(kafka: str, topic: str, partition: int = 0) -> list[bytes]:
    return [m.value() for m in read_all(kafka, topic) if m.partition() == partition]


def first_seen(kafka: str, topic: str, partition: int = 0) -> list[Message]:
    """Give what is seen once anything is: a commit is answered before its markers are written."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        seen = [m for m in read_all(kafka, topic) if m.partition() == partition]
        if seen:
            return seen
    raise AssertionError(f"nothing of {topic}[{partition}] is seen")


def test_rows_headers_and_offsets_become_visible_together(
    kafka: str, topic: str, group: tuple[str, Membership]
) -> None:
    name, member = group
    producer = transactional(kafka, name)
    delivered: list[tuple[int, int]] = []
    producer.begin()
    rows = [b"%d" % n for n in range(1000)]
    producer.produce(topic, 1, rows, rows)
    producer.produce(topic, 1, [b"dead"], [b"letter"], [[("reason", b"bad_value")]])
    producer.produce(topic, 1, [b"gone"], [None])
    producer.produce_header(topic, 1, b"header", b"{}", lambda p, o: delivered.append((p, o)))
    assert values_of(kafka, topic, 1) == []
    assert producer.records_count == 1003
    producer.commit({(topic, 0): 17}, member)
    assert not producer.in_transaction
    seen = first_seen(kafka, topic, 1)
    assert [m.value() for m in seen] == [*rows, b"letter", None, b"{}"]
    assert seen[1000].headers() == [("reason", b"bad_value")]
    assert delivered == [(1, seen[-1].offset())]
    assert committed(kafka, name, (topic, 0)) == 17
    producer.close()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m: Membership(m.group, m.generation - 1, m.member_id, None),
        lambda m: Membership(m.group, m.generation + 1, m.member_id, None),
        lambda m: Membership(m.group, m.generation, m.member_id + "x", None),
        lambda m: Membership(m.group, -1, "", None),
    ],
    ids=["stale generation", "future generation", "unknown member", "no member"],
)
def test_who_is_not_in_the_group_commits_nothing(
    kafka: str,
    topic: str,
    group: tuple[str, Membership],
    wrong: Callable[[Membership], Membership],
) -> None:
    name, member = group
    producer = transactional(kafka, name)
    producer.begin()
    producer.produce(topic, 0, [b"k"], [b"v"])
    with pytest.raises(CommitFencedError):
        producer.commit({(topic, 0): 17}, wrong(member))
    producer.close()
    assert values_of(kafka, topic) == []
    assert committed(kafka, name, (topic, 0)) < 0


def test_a_second_worker_of_the_same_id_fences_the_first(
    kafka: str, topic: str, group: tuple[str, Membership]
) -> None:
    name, member = group
    first = transactional(kafka, name)
    first.begin()
    first.produce(topic, 0, [b"k"], [b"first"])
    second = transactional(kafka, name)
    with pytest.raises(CommitFencedError):
        first.commit({(topic, 0): 1}, member)
    second.begin()
    second.produce(topic, 0, [b"k"], [b"second"])
    second.commit({(topic, 0): 2}, member)
    assert [m.value() for m in first_seen(kafka, topic)] == [b"second"]
    assert committed(kafka, name, (topic, 0)) == 2
    first.close()
    second.close()


def test_close_aborts_what_is_open(kafka: str, topic: str, topic_prefix: str) -> None:
    producer = transactional(kafka, topic_prefix)
    producer.begin()
    producer.produce(topic, 0, [b"k"], [b"v"])
    producer.close()
    assert values_of(kafka, topic) == []
    assert values_of(kafka, topic, 1) == []


@pytest.mark.parametrize(("size", "fits"), [(999, True), (1000, True), (1001, False)])
def test_a_record_too_large_is_refused_before_anything_is_queued(
    kafka: str, topic: str, group: tuple[str, Membership], size: int, fits: bool
) -> None:
    name, member = group
    producer = transactional(kafka, name, message_bytes_max=1000)
    producer.begin()
    rows = [b"small", b"x" * (size - 3), b"small"]
    keys = [b"key"] * 3
    if fits:
        producer.produce(topic, 0, keys, rows)
    else:
        why = r"record 1 .* 1001 bytes, the limit is 1000"
        with pytest.raises(TooLargeError, match=why):
            producer.produce(topic, 0, keys, rows)
        headed = [b"", b"x" * (size - 5), b""], [None, [("a", b"1")], None]
        with pytest.raises(TooLargeError, match=why):
            producer.produce(topic, 0, keys, *headed)
        producer.produce(topic, 0, [b"k"], [b"instead"])
    producer.commit({}, member)
    assert [m.value() for m in first_seen(kafka, topic)] == (rows if fits else [b"instead"])
    producer.close()


def test_a_full_queue_is_waited_out_in_order(
    kafka: str, topic: str, group: tuple[str, Membership]
) -> None:
    name, member = group
    producer = transactional(kafka, name, queue_records_max=100)
    producer.begin()
    rows = [b"%d" % n for n in range(2000)]
    producer.produce(topic, 0, rows[:1000], rows[:1000])
    producer.produce(topic, 0, rows[1000:], rows[1000:], [[("n", b"1")]] * 1000)
    producer.commit({}, member)
    assert [m.value() for m in first_seen(kafka, topic)] == rows
    producer.close()


def test_nobody_answers_until_the_deadline() -> None:
    nobody = ProducerConfig("127.0.0.1:1", start_deadline_s=0.5, extra={"log_level": 0})
    producer = TransactionalProducer(nobody, "id")
    began = time.monotonic()
    with pytest.raises(CommitLateError):
        producer.start()
    assert time.monotonic() - began < 5
    producer.close()


def test_a_transaction_that_timed_out_is_not_committed(
    kafka: str, topic: str, group: tuple[str, Membership]
) -> None:
    name, member = group
    producer = transactional(kafka, name, transaction_timeout_s=1.0)
    producer.begin()
    producer.produce(topic, 0, [b"k"], [b"v"])
    producer._producer.flush(5)
    reader = Consumer({"bootstrap.servers": kafka, "group.id": name})
    deadline = time.monotonic() + 60  # the coordinator looks every 10 s
    # One row and, once the coordinator has aborted, one marker.
    while reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=5)[1] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    reader.close()
    with pytest.raises((CommitFencedError, CommitAbortedError)):
        producer.commit({(topic, 0): 3}, member)
    producer.close()
    assert values_of(kafka, topic) == []
    assert committed(kafka, name, (topic, 0)) < 0


def test_direct_records_are_confirmed(kafka: str, topic: str) -> None:
    producer = DirectProducer(ProducerConfig(kafka))
    rows = [b"%d" % n for n in range(500)]
    producer.produce(topic, 1, rows, rows)
    producer.produce(topic, 1, [b"k"], [b"v"], [[("reason", b"x")]])
    producer.confirm()
    assert values_of(kafka, topic, 1) == [*rows, b"v"]
    producer.poll()
    producer.close()


def test_a_direct_record_that_the_broker_refuses_is_told(
    kafka: str, make_topics: Callable[..., dict[str, str]]
) -> None:
    small = make_topics(["small"], 1, {"max.message.bytes": "200"})["small"]
    told: list[tuple[str, str]] = []
    config = ProducerConfig(kafka, compression="none")
    producer = DirectProducer(config, lambda *why: told.append(why))
    producer.produce(small, 0, [b"k"], [b"x" * 1000])
    with pytest.raises(DeliveryError, match=small):
        producer.confirm()
    assert told == [(small, "too_large")]
    producer.close()


def test_direct_records_that_nobody_takes_are_told() -> None:
    config = ProducerConfig("127.0.0.1:1", commit_deadline_s=0.5, extra={"log_level": 0})
    told: list[tuple[str, str]] = []
    producer = DirectProducer(config, lambda *why: told.append(why))
    producer.produce("nowhere", 0, [b"k"], [b"v"])
    with pytest.raises(DeliveryError):
        producer.confirm()
    producer.close()
    assert told == [("nowhere", "timeout")]
