"""Publishing to the input topics: in bulk, in order, at a pace, every failure loud.

Rules of the room: every record gets its partition here, murmur2 of its key (stream.wire.murmur2),
unless a fault wants the one after; record timestamps are the wall clock; an idempotent producer
keeps the order and repeats nothing. The pace is open-loop: what is late is sent at once, so a slow
broker never makes the load look lighter. A record that cannot be delivered ends the run.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.connection import (
    IDEMPOTENT,
    OPEN,
    REACH_S,
    BrokerError,
    Complaints,
    made,
    options,
    reach,
    refusal,
)
from stream.core.layout import TOPICS
from stream.security import Security
from stream.wire.murmur2 import murmur2_column

BATCH_RECORDS_MAX: Final = 4_096  # handed to librdkafka at once
WAITING_RECORDS_MAX: Final = 131_072  # unacknowledged; beyond it `send` waits
RECORD_BYTES_MAX: Final = 8 << 20
TOPIC_S: Final = 2.0  # for a missing topic to appear
DELIVERY_S: Final = 60.0  # a record that is not acknowledged by then has failed
TICK_S: Final = 0.002  # shortest pause of the pace
PROGRESS_S: Final = 0.25  # between two reports


class PublishError(RuntimeError):
    """Records cannot be published, or were not. The message is one line, for the user."""


class Outgoing(Protocol):
    """Records on their way: columns of equal length, in the order in which they are sent."""

    @property
    def topic(self) -> npt.NDArray[np.uint8]:
        """Index into core.layout.TOPICS: (n,)."""

    @property
    def keys(self) -> Sequence[bytes | None]:
        """Key of each record."""

    @property
    def values(self) -> Sequence[bytes]:
        """Value of each record."""

    @property
    def shift(self) -> npt.NDArray[np.uint8]:
        """1: to the partition after the key's own, on purpose: (n,)."""

    @property
    def due_ms(self) -> npt.NDArray[np.int64]:
        """Time of each record in the stream's own time, rising: (n,)."""

    def head(self, count: int) -> Self:
        """Give the first `count` records alone."""


O = TypeVar("O", bound=Outgoing)  # noqa: E741 - the one type variable here


@dataclass(frozen=True, slots=True)
class Pace:
    """When records go out: `rate` records a second, or `speed` stream seconds a second, or at once.

    Raises ValueError where both are given, or one is not positive.
    """

    rate: float | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.rate is not None and self.speed is not None:
            raise ValueError(f"rate={self.rate} and speed={self.speed}: give one of them")
        for name, value in (("rate", self.rate), ("speed", self.speed)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be more than 0, not {value}")

    def due_s(
        self, sent: int, due_ms: npt.NDArray[np.int64], first_ms: int
    ) -> npt.NDArray[np.float64]:
        """Seconds from the start at which records are due, `sent` having gone before: (n,)."""
        if self.rate is not None:
            return np.arange(sent, sent + len(due_ms), dtype=np.float64) / self.rate
        if self.speed is not None:
            return np.asarray((due_ms - first_ms) / (1000.0 * self.speed), dtype=np.float64)
        return np.zeros(len(due_ms))


@dataclass(slots=True)
class Published:
    """What a run has sent so far."""

    records: int = 0
    by_topic: list[int] = field(default_factory=lambda: [0] * len(TOPICS))
    value_bytes: int = 0
    seconds: float = 0.0
    stream_ms: int = 0  # time of the last record in the stream's own time; 0: none yet
    first_ms: int = 0
    ended: str = "end"  # why it stopped: end (of the stream), records, seconds, stopped

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds if self.seconds > 0 else 0.0

    @property
    def speed(self) -> float:
        """Stream seconds a second."""
        if self.seconds <= 0:
            return 0.0
        return (self.stream_ms - self.first_ms) / 1000.0 / self.seconds


class Publisher:
    """A producer for the three input topics of one deployment. Raises PublishError throughout."""

    def __init__(
        self,
        bootstrap: str,
        topics: Sequence[str],
        security: Security = OPEN,
        reach_s: float = REACH_S,
    ) -> None:
        """Connect and look at the topics, given by their names in the order of core.layout.TOPICS.

        Raises PublishError where the broker cannot be reached within `reach_s`, a topic is missing,
        or they differ in their number of partitions.
        """
        self._bootstrap = bootstrap
        self._topics = list(topics)
        self._complaints = Complaints()
        self._failed: KafkaError | None = None
        self._failures = 0
        logger = logging.getLogger("stream.local.publish")
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        self._producer = made(
            Producer,
            {
                **options(bootstrap, security),
                "partitioner": "murmur2_random",  # for records without partition: there are none
                **IDEMPOTENT,
                "linger.ms": 2,
                "batch.size": 1 << 20,
                "message.max.bytes": RECORD_BYTES_MAX,
                "queue.buffering.max.messages": 4 * WAITING_RECORDS_MAX,
                "queue.buffering.max.kbytes": 1 << 20,
                "message.timeout.ms": int(DELIVERY_S * 1000),
                "delivery.report.only.error": True,
                "error_cb": self._complaints,
            },
            logger=logger,
        )
        self.partitions = self._look(reach_s)

    def _look(self, reach_s: float) -> int:
        deadline = time.monotonic() + TOPIC_S
        try:
            cluster = reach(self._producer, self._complaints, self._bootstrap, reach_s)
            # A topic that was created a moment ago may not be known to this broker yet.
            while not all(map(cluster.topics.__contains__, self._topics)) and (
                time.monotonic() < deadline
            ):
                time.sleep(0.1)
                cluster = self._producer.list_topics(timeout=reach_s)
        except BrokerError as error:
            raise PublishError(str(error)) from error
        except KafkaException as error:
            raise PublishError(str(refusal(self._bootstrap, error.args[0]))) from error
        missing = [name for name in self._topics if name not in cluster.topics]
        if missing:
            raise PublishError(
                f"no topic {', '.join(missing)} on {self._bootstrap}: run `forecart topics apply`"
            )
        counts = {name: len(cluster.topics[name].partitions) for name in self._topics}
        if len(set(counts.values())) != 1:
            raise PublishError(f"the topics differ in their number of partitions: {counts}")
        return counts[self._topics[0]]

    def send(
        self,
        topic: npt.NDArray[np.uint8],
        keys: Sequence[bytes | None],
        values: Sequence[bytes],
        shift: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """Hand records over, in order; waits while too many are unacknowledged."""
        homes = self._partitions(keys)
        if shift is not None:
            if self.partitions == 1 and shift.any():
                raise PublishError("topics of one partition have no wrong one to send to")
            homes = (homes + shift) % self.partitions
        for start in range(0, len(values), BATCH_RECORDS_MAX):
            part = slice(start, start + BATCH_RECORDS_MAX)
            batches: dict[int, list[dict[str, Any]]] = defaultdict(list)
            places = (topic[part].astype(np.int64) * self.partitions + homes[part]).tolist()
            rows = zip(places, keys[part], values[part], strict=True)
            for place, key, value in rows:  # 0.3 us a record; produce_batch takes dicts
                batches[place].append({"key": key, "value": value})
            for place, batch in batches.items():
                code, home = divmod(place, self.partitions)
                self._produce(self._topics[code], home, batch)

    def _produce(self, name: str, home: int, batch: list[dict[str, Any]]) -> None:
        while len(self._producer) > WAITING_RECORDS_MAX:
            self._producer.poll(0.01)
            self._check()
        # confluent-kafka 2.16.1 drops a partition that stands in a message of a batch.
        queued = self._producer.produce_batch(name, batch, home, self._delivered)
        if queued != len(batch):  # cannot be: there is room for four times as many
            errors = [str(entry["_error"]) for entry in batch if "_error" in entry]
            raise PublishError(f"{name}: {len(batch) - queued} records refused: {errors[:1]}")
        self._producer.poll(0)
        self._check()

    def flush(self) -> None:
        """Wait until every record is acknowledged."""
        deadline = time.monotonic() + DELIVERY_S + 5.0
        while self._producer.flush(0.5):
            self._check()
            if time.monotonic() > deadline:
                raise PublishError(f"{len(self._producer)} records were not acknowledged in time")
        self._check()

    def close(self) -> None:
        """Drop what has not been sent and disconnect. After `flush` nothing is left to drop."""
        self._producer.purge()
        self._producer.close()

    def _partitions(self, keys: Sequence[bytes | None]) -> npt.NDArray[np.int64]:
        """Partition of each key; records without a key go round in turn."""
        present = [key or b"" for key in keys]
        data = np.frombuffer(b"".join(present), np.uint8)
        sizes = np.fromiter(map(len, present), np.int64, len(present))
        hashes = np.zeros(len(present), np.uint32)
        murmur2_column(data, sizes, hashes)
        partition = (hashes & np.uint32(0x7FFF_FFFF)).astype(np.int64)
        nameless = np.flatnonzero(sizes == 0)
        partition[nameless] = nameless
        return partition % self.partitions

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failures += 1
            self._failed = self._failed or error

    def _check(self) -> None:
        if self._failed is not None:
            why = refusal(self._bootstrap, self._failed)
            raise PublishError(f"{self._failures} records were not delivered: {why}")


def run_paced(
    publisher: Publisher,
    stream: Iterable[O],
    pace: Pace,
    *,
    stop: threading.Event,
    records_max: int | None = None,
    seconds_max: float | None = None,
    on_sent: Callable[[O, int, int], None] | None = None,
    on_progress: Callable[[Published], None] | None = None,
) -> Published:
    """Publish a stream until it ends, a limit is reached, or `stop` is set; then flush.

    `on_sent(records, start, stop)` is called after records[start:stop] were handed over, in order:
    what it hears of is what is published. Raises PublishError.
    """
    done = Published()
    begun = time.monotonic()
    reported = begun
    for whole in stream:
        if records_max is not None and done.records >= records_max:
            done.ended = "records"
            break
        part = whole if records_max is None else whole.head(records_max - done.records)
        count = len(part.values)
        if count and done.first_ms == 0:
            done.first_ms = int(part.due_ms[0])
        due_s = pace.due_s(done.records, part.due_ms, done.first_ms)
        at = 0
        while at < count:
            now = time.monotonic()
            done.seconds = now - begun
            if on_progress is not None and now - reported >= PROGRESS_S:
                reported = now
                on_progress(done)
            if stop.is_set() or (seconds_max is not None and done.seconds >= seconds_max):
                break
            ready = int(np.searchsorted(due_s, done.seconds, side="right"))
            upto = min(max(ready, at), at + BATCH_RECORDS_MAX)
            if upto == at:
                wait_s = max(TICK_S, min(float(due_s[at]) - done.seconds, PROGRESS_S))
                stop.wait(wait_s)
                continue
            _send(publisher, part, at, upto, done)
            if on_sent is not None:
                on_sent(part, at, upto)
            at = upto
        if at < count:
            done.ended = "stopped" if stop.is_set() else "seconds"
            break
    publisher.flush()
    done.seconds = time.monotonic() - begun
    return done


def _send(publisher: Publisher, part: Outgoing, at: int, upto: int, done: Published) -> None:
    """Send some records of a part and count them."""
    values = part.values[at:upto]
    publisher.send(part.topic[at:upto], part.keys[at:upto], values, part.shift[at:upto])
    done.records += upto - at
    done.value_bytes += sum(map(len, values))
    done.stream_ms = int(part.due_ms[upto - 1])
    for code, more in enumerate(np.bincount(part.topic[at:upto], minlength=len(TOPICS))):
        done.by_topic[code] += int(more)
