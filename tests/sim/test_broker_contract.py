"""What the simulation's broker and the real one both do, asked through the same face.

The fake has the methods of TransactionalProducer and Reader; each test runs on both.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from stream.connection import OPEN
from stream.flow.stops import CommitAbortedError, CommitFencedError
from stream.shell.group import Membership
from stream.shell.producer import ProducerConfig
from stream.shell.reader import Reader
from stream.shell.transaction import TransactionalProducer
from tests.sim.broker import Broker
from tests.sim.clock import SimClock
from tests.sim.partition_log import PartitionLog
from tests.sim.producer import FakeProducer
from tests.sim.reader import FakeReader
from tests.sim.refusal import Refusal

DEADLINE_S = 20.0
Place = tuple[str, int]


class World(Protocol):
    """A broker with one topic of two partitions."""

    topic: str

    def producer(self, name: str) -> Any: ...

    def reader(self) -> Any: ...

    def join(self) -> Membership: ...

    def rejoin(self) -> Membership: ...

    def committed(self) -> int | None: ...


class Fake:
    """The simulation's."""

    def __init__(self) -> None:
        self.topic = "out"
        self.broker = Broker(SimClock(), {self.topic: 2}, 2)
        self._place: Any = None

    def producer(self, name: str) -> FakeProducer:
        producer = FakeProducer(self.broker, name)
        producer.start()
        return producer

    def reader(self) -> FakeReader:
        return FakeReader(self.broker)

    def join(self) -> Membership:
        self._place = self.broker.group.join("a")
        return self._membership()

    def rejoin(self) -> Membership:
        self.broker.group.prepare()
        self.broker.group.rejoin(self._place)
        return self._membership()

    def committed(self) -> int | None:
        try:
            return self.broker.group.stable([(self.topic, 0)]).get((self.topic, 0))
        except Refusal:
            return -1

    def _membership(self) -> Membership:
        return Membership("g", self.broker.group.generation, self._place.id, None)


class Real:
    """Apache Kafka."""

    def __init__(self, bootstrap: str, topic: str, prefix: str) -> None:
        self.topic = topic
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._group = f"{prefix}group"
        self._consumer: Any = None
        self._others: list[Any] = []

    def producer(self, name: str) -> TransactionalProducer:
        producer = TransactionalProducer(ProducerConfig(self._bootstrap, OPEN), self._prefix + name)
        producer.start()
        self._others.append(producer)
        return producer

    def reader(self) -> Reader:
        reader = Reader(self._bootstrap, OPEN)
        self._others.append(reader._consumer)
        return reader

    def join(self) -> Membership:
        self._consumer = Consumer({
            "bootstrap.servers": self._bootstrap, "group.id": self._group,
            "enable.auto.commit": False, "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 300,
        })  # fmt: skip
        self._consumer.subscribe([self.topic])
        return self._when(lambda member: member.generation > 0)

    def rejoin(self) -> Membership:
        before = self._membership().generation
        self._consumer.unsubscribe()
        self._consumer.subscribe([self.topic])
        return self._when(lambda member: member.generation > before)

    def committed(self) -> int | None:
        consumer = Consumer({
            "bootstrap.servers": self._bootstrap, "group.id": self._group,
            "isolation.level": "read_committed",
        })  # fmt: skip
        try:
            (found,) = consumer.committed([TopicPartition(self.topic, 0)], timeout=1.0)
        except KafkaException:
            return -1
        finally:
            consumer.close()
        return None if found.offset < 0 else int(found.offset)

    def close(self) -> None:
        for other in [*self._others, self._consumer]:
            if other is not None:
                other.close()

    def _membership(self) -> Membership:
        raw = self._consumer.consumer_group_metadata()
        generation = int.from_bytes(raw[7:11], "little", signed=True)
        return Membership(self._group, generation, self._consumer.memberid() or "", None)

    def _when(self, holds: Callable[[Membership], bool]) -> Membership:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            self._consumer.poll(0.05)
            member = self._membership()
            if self._consumer.assignment() and holds(member):
                return member
        raise TimeoutError("no assignment")


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        yield Fake()
        return
    topic = request.getfixturevalue("make_topics")(["out"], 2)["out"]
    made = Real(request.getfixturevalue("kafka"), topic, request.getfixturevalue("topic_prefix"))
    yield made
    made.close()


def read(world: World, partition: int = 0) -> list[tuple[int, bytes | None]]:
    """Offset and value of what is committed, up to the last stable offset."""
    reader = world.reader()
    place = (world.topic, partition)
    ranges = {place: reader.ranges([world.topic])[place]}
    return [(record.offset, record.value) for record in reader.records(ranges)]


def ends(world: World, partition: int = 0) -> tuple[int, int]:
    """Last stable offset and high watermark."""
    reader = world.reader()
    place = (world.topic, partition)
    stable = reader.ranges([world.topic])[place][1]
    return stable, reader.ranges([world.topic], stable=False)[place][1]


def until(holds: Callable[[], bool], what: str) -> None:
    """Markers take their time on a real broker."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited for {what}"


def sent(producer: Any, topic: str, *values: bytes, partition: int = 0) -> None:
    """Produce in the open transaction, and see that it is with the broker."""
    producer.produce(topic, partition, list(values), list(values))
    if isinstance(producer, FakeProducer):
        producer.send()
    else:
        producer._producer.flush(DEADLINE_S)


def test_a_transaction_is_there_at_once_and_its_marker_takes_an_offset(world: World) -> None:
    member = world.join()
    producer = world.producer("a")
    told: list[tuple[int, int]] = []
    producer.begin()
    sent(producer, world.topic, b"1", b"2")
    assert read(world) == []
    assert ends(world) == (0, 2)
    producer.produce_header(world.topic, 0, b"h", b"3", lambda p, o: told.append((p, o)))
    producer.commit({(world.topic, 0): 17}, member)
    until(lambda: ends(world) == (4, 4), "the marker")
    assert read(world) == [(0, b"1"), (1, b"2"), (2, b"3")]
    assert told == [(0, 2)]
    until(lambda: world.committed() == 17, "the offset")


def test_what_is_aborted_takes_offsets_and_is_not_read(world: World) -> None:
    producer = world.producer("a")
    producer.begin()
    sent(producer, world.topic, b"1", b"2")
    producer.close()
    until(lambda: ends(world) == (3, 3), "the marker")
    assert read(world) == []


def test_an_open_transaction_holds_back_what_others_have_committed(world: World) -> None:
    member = world.join()
    one, other = world.producer("a"), world.producer("b")
    for producer, values in ((one, (b"1",)), (other, (b"2", b"3"))):
        producer.begin()
        sent(producer, world.topic, *values)
    other.commit({}, member)
    until(lambda: ends(world) == (0, 4), "the other's marker")
    assert read(world) == []
    one.commit({}, member)
    until(lambda: ends(world) == (5, 5), "the marker")
    assert read(world) == [(0, b"1"), (1, b"2"), (2, b"3")]


def test_partitions_are_of_one_transaction(world: World) -> None:
    member = world.join()
    producer = world.producer("a")
    producer.begin()
    sent(producer, world.topic, b"1")
    sent(producer, world.topic, b"2", partition=1)
    assert ends(world, 1) == (0, 1)
    producer.commit({}, member)
    until(lambda: ends(world) == ends(world, 1) == (2, 2), "the markers")
    assert read(world, 1) == [(0, b"2")]


def test_a_second_process_aborts_what_the_first_has_open_and_fences_it(world: World) -> None:
    member = world.join()
    first = world.producer("a")
    first.begin()
    sent(first, world.topic, b"1")
    second = world.producer("a")
    assert ends(world) == (2, 2)
    with pytest.raises(CommitFencedError):
        first.commit({(world.topic, 0): 1}, member)
    second.begin()
    sent(second, world.topic, b"2")
    second.commit({(world.topic, 0): 2}, member)
    until(lambda: read(world) == [(2, b"2")], "the second's record")
    until(lambda: world.committed() == 2, "the second's offset")


@pytest.mark.parametrize("wrong", ["stale", "future", "member"])
def test_who_is_not_in_the_group_commits_nothing(world: World, wrong: str) -> None:
    member = world.join()
    member = {
        "stale": Membership(member.group, member.generation - 1, member.member_id, None),
        "future": Membership(member.group, member.generation + 1, member.member_id, None),
        "member": Membership(member.group, member.generation, member.member_id + "x", None),
    }[wrong]
    producer = world.producer("a")
    producer.begin()
    sent(producer, world.topic, b"1")
    with pytest.raises((CommitFencedError, CommitAbortedError)):
        producer.commit({(world.topic, 0): 17}, member)
    producer.close()
    until(lambda: ends(world) == (2, 2), "the abort")
    assert read(world) == []
    assert world.committed() is None


def test_a_generation_ends_with_a_rebalance(world: World) -> None:
    before = world.join()
    after = world.rejoin()
    assert after.generation > before.generation
    for name, member, works in (("a", before, False), ("b", after, True)):
        producer = world.producer(name)
        producer.begin()
        sent(producer, world.topic, name.encode())
        if works:
            producer.commit({(world.topic, 0): 5}, member)
        else:
            with pytest.raises(CommitFencedError):
                producer.commit({(world.topic, 0): 4}, member)
            producer.close()
    until(lambda: world.committed() == 5, "the offset")


def test_offsets_of_an_open_transaction_are_not_stable(world: World) -> None:
    member = world.join()
    producer = world.producer("a")
    producer.begin()
    sent(producer, world.topic, b"1")
    offsets = {(world.topic, 0): 3}
    if isinstance(world, Fake):
        world.broker.add_offsets("a", producer._epoch, offsets, member.generation, member.member_id)
    else:
        producer._producer.send_offsets_to_transaction(
            [TopicPartition(world.topic, 0, 3)], member.serialised(), DEADLINE_S
        )
    assert world.committed() == -1
    producer.commit(offsets, member)
    until(lambda: world.committed() == 3, "the offset")


def test_the_fake_compacts_as_kafka_does_below_what_is_stable() -> None:
    """Real compaction waits for segments; its bytes are in tests/shell/test_chunk.py."""
    log = PartitionLog()
    for key, value in ((b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"b", None)):
        log.append(7, 0, key, value, [])
    log.mark(7, commit=True)
    log.append(-1, 0, b"c", b"1", [])
    log.append(8, 0, b"a", b"3", [])
    log.compact(log.end, tombstones=False)
    assert [entry.offset for entry in log.entries] == [2, 3, 5, 6]
    assert [entry.offset for entry in log.read(0, 10)[0]] == [2, 3, 5]
    assert log.read(0, 10)[1] == log.stable_end == 6
    log.compact(log.end, tombstones=True)
    assert [entry.offset for entry in log.read(0, 10)[0]] == [2, 5]
