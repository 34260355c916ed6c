"""What tests do to a broker: name topics apart, make them, write to them, read them to the end."""

import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

DEADLINE_S = 30.0


class Ending(Protocol):
    """A broker that is to leave nothing behind."""

    home: Path

    def down(self) -> Any:
        """Stop it."""


B = TypeVar("B", bound=Ending)


@contextmanager
def taken_away(broker: B) -> Iterator[B]:
    """Give a broker, and take it and its folder away at the end."""
    try:
        yield broker
    finally:
        broker.down()
        shutil.rmtree(broker.home, ignore_errors=True)


def unique_prefix() -> str:
    """A topic prefix that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}-"


def create_topics(
    bootstrap: str, names: Iterable[str], partitions: int, config: Mapping[str, str] | None = None
) -> None:
    """Create topics and wait until the broker has them."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [
        NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        for name in names
    ]
    for future in admin.create_topics(new, operation_timeout=DEADLINE_S).values():
        future.result(DEADLINE_S)
    # The controller has made them; a broker that learns of it later still says "no topic".
    deadline = time.monotonic() + DEADLINE_S
    while not all(_has_leaders(admin, topic.topic, partitions) for topic in new):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the broker does not know {[topic.topic for topic in new]}")
        time.sleep(0.05)


def _has_leaders(admin: AdminClient, name: str, partitions: int) -> bool:
    found = admin.list_topics(name, timeout=DEADLINE_S).topics[name].partitions
    return len(found) == partitions and all(part.leader >= 0 for part in found.values())


def delete_topics(bootstrap: str, prefix: str) -> None:
    """Delete every topic that starts with the prefix (which must be a test's own)."""
    if not prefix:
        raise ValueError("an empty prefix would delete every topic")
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [
        name for name in admin.list_topics(timeout=DEADLINE_S).topics if name.startswith(prefix)
    ]
    if not names:
        return
    for future in admin.delete_topics(names, operation_timeout=DEADLINE_S).values():
        try:
            future.result(DEADLINE_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise


def produce(
    bootstrap: str,
    topic: str,
    rows: Iterable[tuple[bytes | None, bytes | None]],
    *,
    partition: int | None = None,
) -> None:
    """Write (key, value) rows, partitioned as Java does, and wait until they are acknowledged."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "partitioner": "murmur2_random",
            "message.max.bytes": 8 << 20,
            "linger.ms": 5,
        }
    )
    failures = []

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failures.append(error)

    where = {} if partition is None else {"partition": partition}
    for key, value in rows:
        while True:
            try:
                producer.produce(topic, value=value, key=key, on_delivery=on_delivery, **where)
                break
            except BufferError:
                producer.poll(0.1)
    left = producer.flush(DEADLINE_S)
    if left or failures:
        raise AssertionError(f"{left} rows of {topic} unacknowledged, failures: {failures[:3]}")


def read_all(bootstrap: str, topic: str, *, committed: bool = True) -> list[Message]:
    """Read a topic from its beginning to the end it has now, in order within each partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": unique_prefix(),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
        }
    )
    try:
        metadata = consumer.list_topics(topic, timeout=DEADLINE_S).topics[topic]
        if metadata.error is not None:
            raise AssertionError(f"cannot read {topic}: {metadata.error}")
        open_partitions = set(metadata.partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in open_partitions])
        rows: list[Message] = []
        while open_partitions:
            message = consumer.poll(DEADLINE_S)
            if message is None:
                raise AssertionError(f"{topic}: no end of {open_partitions} in {DEADLINE_S} s")
            if message.error() is None:
                rows.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                open_partitions.discard(message.partition())
            else:
                raise AssertionError(f"{topic}: {message.error()}")
        return rows
    finally:
        consumer.close()
