"""What both producers share: librdkafka's settings and producing many records at once.

Rules of the room: blocking calls, made by the flow's thread, never by the event loop; librdkafka
lets go of the interpreter lock while it waits. A full queue is waited out within the deadline; what
can never be sent is refused before anything of its call is queued.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Producer

from stream.connection import OPEN, options
from stream.flow.observe import ProduceError
from stream.flow.stops import CommitLateError
from stream.security import Security
from stream.shell.produce_batch import produce_batch
from stream.wire.texts import Texts

FULL_WAIT_S: Final = 0.02  # a poll, while the queue is full
RECORD_OVERHEAD_BYTES: Final = 512  # of a record and its batch, beside key, value and headers
TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
TIMED_OUT: Final = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT})

Headers = Sequence[Sequence[tuple[str, bytes]] | None]
OnDelivery = Callable[[KafkaError | None, Any], None]
OnError = Callable[[str, ProduceError], None]  # topic, why


class TooLargeError(ValueError):
    """A record is larger than the producer may send; nothing of the call was queued."""

    def __init__(self, topic: str, index: int, size: int, limit: int) -> None:
        super().__init__(f"record {index} for {topic} has {size} bytes, the limit is {limit}")
        self.index = index


@dataclass(frozen=True, slots=True)
class ProducerConfig:
    """Settings of a producer; `extra` goes to librdkafka as it is."""

    bootstrap: str
    security: Security = OPEN
    client_id: str = "forecart"
    linger_ms: float = 1.0
    # lz4 costs 0.6 us of this process and saves 0.2 us of the broker's, a record of 460 bytes of
    # JSON (2 cores, broker on them). Worth it where the network or the disk is what is short.
    compression: str = "none"
    batch_bytes: int = 1 << 20
    message_bytes_max: int = 4 << 20
    queue_bytes_max: int = 256 << 20
    queue_records_max: int = 1_000_000
    transaction_timeout_s: float = 10.0
    commit_deadline_s: float = 8.0
    start_deadline_s: float = 60.0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def librdkafka(self) -> dict[str, Any]:
        """Name them as librdkafka does."""
        return {
            **options(self.bootstrap, self.security),
            "client.id": self.client_id,
            "acks": "all",
            "enable.idempotence": True,
            # librdkafka's own default is another hash than Java's and aiokafka's.
            "partitioner": "murmur2_random",
            "linger.ms": self.linger_ms,
            "compression.type": self.compression,
            "batch.size": self.batch_bytes,
            "batch.num.messages": 100_000,
            "message.max.bytes": self.message_bytes_max + RECORD_OVERHEAD_BYTES,
            "queue.buffering.max.kbytes": self.queue_bytes_max >> 10,
            "queue.buffering.max.messages": self.queue_records_max,
            **self.extra,
        }


def produce_all(
    producer: Producer,
    topic: str,
    partition: int,
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    headers: Headers | None,
    *,
    message_bytes_max: int,
    deadline_s: float,
    on_error: OnError = lambda *_: None,
) -> None:
    """Queue records for one partition, in order: 0.6 us each, 1.5 with headers (460 bytes).

    Failures are reported to the producer's `on_delivery`. Raises TooLargeError,
    CommitLateError (queue full until the deadline) and KafkaException (fatal), each after
    `on_error` was told.
    """
    with _telling(topic, on_error):
        _check_sizes(topic, Texts.of(keys), Texts.of(values), headers, message_bytes_max)
        deadline = time.monotonic() + deadline_s
        if headers is not None:
            for key, value, header in zip(keys, values, headers, strict=True):
                produce_one(producer, topic, partition, key, value, header, deadline=deadline)
        else:
            produce = producer.produce
            for key, value in zip(keys, values, strict=True):
                try:
                    produce(topic, value, key, partition)
                except BufferError:
                    produce_one(producer, topic, partition, key, value, deadline=deadline)
        producer.poll(0)


def produce_texts(
    producer: Producer,
    topic: str,
    partition: int,
    keys: Texts,
    values: Texts,
    *,
    message_bytes_max: int,
    deadline_s: float,
    on_error: OnError = lambda *_: None,
) -> None:
    """Queue records without headers, as `produce_all` does, for a transaction: 0.2 us each."""
    with _telling(topic, on_error):
        _check_sizes(topic, keys, values, None, message_bytes_max)
        deadline = time.monotonic() + deadline_s
        queued = produce_batch(producer, topic, partition, keys, values)
        while queued < len(values):  # the next one waits for room, or says what is wrong
            produce_one(producer, topic, partition, keys[queued], values[queued], deadline=deadline)
            queued += 1
            queued += produce_batch(
                producer, topic, partition, keys.since(queued), values.since(queued)
            )
        producer.poll(0)


def produce_one(
    producer: Producer,
    topic: str,
    partition: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]] | None = None,
    on_delivery: OnDelivery | None = None,
    *,
    deadline: float,
) -> None:
    """Queue one record; waits for room until `deadline` (monotonic)."""
    extra: dict[str, Any] = {}
    if headers is not None:
        extra["headers"] = list(headers)
    if on_delivery is not None:
        extra["on_delivery"] = on_delivery
    while True:
        try:
            producer.produce(topic, value, key, partition, **extra)
        except BufferError:
            _wait_for_room(producer, topic, deadline)
        else:
            return


@contextmanager
def _telling(topic: str, tell: OnError) -> Iterator[None]:
    """Tell of what a producer raises for a topic, and let it go on. 1 us a use."""
    try:
        yield
    except TooLargeError:
        tell(topic, "too_large")
        raise
    except CommitLateError:
        tell(topic, "timeout")
        raise
    except KafkaException as error:
        tell(topic, reason_of(error.args[0]))
        raise


def reason_of(error: KafkaError) -> ProduceError:
    """Name why a record was not taken."""
    if error.code() in TOO_LARGE:
        return "too_large"
    if error.code() in TIMED_OUT:
        return "timeout"
    return "retriable" if error.retriable() else "fatal"


def _check_sizes(
    topic: str, keys: Texts, values: Texts, headers: Headers | None, limit: int
) -> None:
    if len(keys) != len(values):
        raise ValueError(f"{len(keys)} keys and {len(values)} values for {topic}")
    sizes = np.maximum(keys.sizes, 0) + np.maximum(values.sizes, 0)
    if headers is not None:
        beside = [sum(len(name) + len(text) for name, text in some or ()) for some in headers]
        sizes += np.array(beside, np.int64)
    if len(sizes) and sizes.max() > limit:
        index = int(np.argmax(sizes > limit))
        raise TooLargeError(topic, index, int(sizes[index]), limit)


def _wait_for_room(producer: Producer, topic: str, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise CommitLateError(
            f"no room for records to {topic}: {len(producer)} wait for the broker"
        )
    producer.poll(FULL_WAIT_S)
