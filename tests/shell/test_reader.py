"""The tools' reader: committed records only, ends fixed at the start, every wait with an end."""

import threading
import time

import pytest
from confluent_kafka import Producer

from stream.connection import BrokerError
from stream.shell.reader import Reader, ReadStalledError
from tests.kafka_tools import produce, unique_prefix

pytestmark = pytest.mark.kafka


@pytest.fixture
def topic(make_topics):
    return make_topics(["log"], 2)["log"]


@pytest.fixture
def transaction(kafka):
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": unique_prefix()})
    producer.init_transactions(30)
    producer.begin_transaction()
    return producer


def put(producer, topic, *values):
    for value in values:
        producer.produce(topic, value, b"key", partition=0)
    producer.flush(20)


def values(records):
    return [record.value for record in records]


def test_reads_up_to_the_end_of_the_start(kafka, topic):
    produce(kafka, topic, [(b"k", b"one"), (b"k", b"two")], partition=0)
    produce(kafka, topic, [(None, None)], partition=1)
    with Reader(kafka) as reader:
        ranges = reader.ranges([topic])
        produce(kafka, topic, [(b"k", b"later")], partition=0)
        assert ranges == {(topic, 0): (0, 2), (topic, 1): (0, 1)}
        records = sorted(reader.records(ranges))
        assert [(r.partition, r.offset, r.key, r.value) for r in records] == [
            (0, 0, b"k", b"one"),
            (0, 1, b"k", b"two"),
            (1, 0, None, None),
        ]
        assert values(reader.records({(topic, 0): (1, 2)})) == [b"two"]
        assert values(reader.records({(topic, 0): (2, 2)})) == []


def test_aborted_and_open_transactions_are_not_seen(kafka, topic, transaction):
    put(transaction, topic, b"gone")
    transaction.abort_transaction(20)
    transaction.begin_transaction()
    put(transaction, topic, b"kept")
    transaction.commit_transaction(20)
    transaction.begin_transaction()
    put(transaction, topic, b"open")
    with Reader(kafka) as reader:
        stable = reader.ranges([topic])
        assert stable[topic, 0] == (0, 4)  # two records and two markers
        assert reader.ranges([topic], stable=False)[topic, 0] == (0, 5)
        assert values(reader.records(stable)) == [b"kept"]
    transaction.abort_transaction(20)


def test_waits_for_an_open_transaction(kafka, topic, transaction):
    put(transaction, topic, b"open")
    with Reader(kafka) as reader:
        ranges = reader.ranges([topic], stable=False)
        commit = threading.Timer(0.5, transaction.commit_transaction, [20])
        commit.start()
        assert values(reader.records(ranges)) == [b"open"]
        commit.join()


def test_waits_for_an_aborted_transaction(kafka, topic, transaction):
    """Nothing but a marker and an aborted record before the end: it must still be reached."""
    put(transaction, topic, b"gone")
    with Reader(kafka) as reader:
        ranges = reader.ranges([topic], stable=False)
        abort = threading.Timer(0.5, transaction.abort_transaction, [20])
        abort.start()
        assert values(reader.records(ranges)) == []
        abort.join()


def test_a_wait_without_end_is_told(kafka, topic, transaction):
    put(transaction, topic, b"open")
    with Reader(kafka) as reader:
        ranges = reader.ranges([topic], stable=False)
        with pytest.raises(ReadStalledError, match=r"up to offset 1 for 1 s.*still open"):
            list(reader.records(ranges, stall_s=1.0))
    transaction.abort_transaction(20)


def test_follow_goes_on_and_says_when_there_is_nothing(kafka, topic):
    produce(kafka, topic, [(b"k", b"before")], partition=0)
    with Reader(kafka) as reader:
        records = reader.follow({(topic, 0): 1, (topic, 1): 0})
        assert next(records) is None
        produce(kafka, topic, [(b"k", b"after")], partition=0)
        assert next(record for record in records if record).value == b"after"


def test_offsets_at_a_time(kafka, topic):
    produce(kafka, topic, [(b"k", b"one")], partition=0)
    now_ms = int(time.time() * 1000)
    with Reader(kafka) as reader:
        assert reader.offsets_at([topic], now_ms - 60_000) == {(topic, 0): 0, (topic, 1): -1}
        assert reader.offsets_at([topic], now_ms + 60_000) == {(topic, 0): -1, (topic, 1): -1}


def test_missing_topic_is_named(kafka):
    with Reader(kafka) as reader, pytest.raises(BrokerError, match="no topic nowhere on"):
        reader.ranges(["nowhere"])


def test_nobody_there():
    start_s = time.monotonic()
    with pytest.raises(BrokerError, match="Connection refused"):
        Reader("127.0.0.1:1", reach_s=1.0)
    assert time.monotonic() - start_s < 5
