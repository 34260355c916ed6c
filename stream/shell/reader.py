"""Read topics for the tools: bounded or following, committed records only, never in a group.

Rules of the room: the only file of the tools that makes a confluent Consumer. Nothing is committed,
no group is joined. Every wait has a deadline and ends in one line: BrokerError when nobody
answers, ReadStalledError when records that are there do not come. librdkafka's own log is
silenced: its last error is part of our message instead.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from stream.connection import (
    OPEN,
    REACH_S,
    BrokerError,
    Complaints,
    made,
    options,
    reach,
    refusal,
)
from stream.security import Security

STALL_S = 30.0  # without a record though the end is not reached; above the transaction time-out
BATCH_RECORDS = 5_000
POLL_S = 0.2
# A topic that has just been made, or a broker that has just been started.
NO_LEADER = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})

Ranges = Mapping[tuple[str, int], tuple[int, int]]


class ReadStalledError(TimeoutError):
    """Records up to the wanted end did not come in time."""


class Record(NamedTuple):
    """One committed record."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def quiet_logger() -> logging.Logger:
    """Make the logger that swallows librdkafka's lines."""
    logger = logging.getLogger("forecart.librdkafka")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    return logger


class Reader:
    """Reads by assignment from one broker. Not for threads."""

    def __init__(self, bootstrap: str, security: Security = OPEN, reach_s: float = REACH_S) -> None:
        """Connect. Raises BrokerError within `reach_s`."""
        self.bootstrap = bootstrap
        self._complaints = Complaints()
        shared = options(bootstrap, security) | {"error_cb": self._complaints}
        self._consumer = made(
            Consumer,
            {
                **shared,
                "group.id": "forecart-tools",  # never joined: librdkafka wants one to be named
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": 50,
            },
            logger=quiet_logger(),
        )
        self._admin = made(AdminClient, shared, logger=quiet_logger())
        self._partitions = self._ask_partitions(reach_s)

    def __enter__(self) -> Self:
        """Use as a context: closes at its end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._consumer.close()

    def partitions(self, topic: str) -> int:
        """Count the partitions. Raises BrokerError."""
        count = self._partitions.get(topic, 0)
        if count == 0:
            raise BrokerError(
                f"no topic {topic} on {self.bootstrap}: create the topics with"
                " `forecart topics apply`, or check the topic prefix"
            )
        return count

    def ranges(
        self, topics: Sequence[str], *, stable: bool = True
    ) -> dict[tuple[str, int], tuple[int, int]]:
        """First offset and end of each partition: the last stable offset, or the high watermark."""
        places = [(topic, number) for topic in topics for number in range(self.partitions(topic))]
        level = IsolationLevel.READ_COMMITTED if stable else IsolationLevel.READ_UNCOMMITTED
        firsts = self._offsets(places, OffsetSpec.earliest(), level)
        ends = self._offsets(places, OffsetSpec.latest(), level)
        return {place: (firsts[place], ends[place]) for place in places}

    def offsets_at(self, topics: Sequence[str], timestamp_ms: int) -> dict[tuple[str, int], int]:
        """First offset at or after a time, per partition; -1: no record is that young."""
        places = [(topic, number) for topic in topics for number in range(self.partitions(topic))]
        spec = OffsetSpec.for_timestamp(timestamp_ms)
        return self._offsets(places, spec, IsolationLevel.READ_COMMITTED)

    def newest_ms(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """Highest timestamp of each partition that holds a record."""
        places = [(topic, number) for topic in topics for number in range(self.partitions(topic))]
        found = self._found(places, OffsetSpec.max_timestamp(), IsolationLevel.READ_UNCOMMITTED)
        return {place: at.timestamp for place, at in found.items() if at.offset >= 0}

    def records(self, ranges: Ranges, stall_s: float = STALL_S) -> Iterator[Record]:
        """Yield what lies in the ranges, in order per partition. Raises ReadStalledError."""
        left = {place: end for place, (first, end) in ranges.items() if first < end}
        self._assign({place: ranges[place][0] for place in left})
        progress_s = time.monotonic()
        while left:
            messages = self._consumer.consume(BATCH_RECORDS, POLL_S)
            for message in messages:
                place = (message.topic(), message.partition())
                if message.error() is not None:
                    self._check(message.error())
                    if message.error().code() == KafkaError._PARTITION_EOF:
                        self._finish_at(left, place, message.offset())
                    continue
                end = left.get(place)
                if end is None or message.offset() >= end:
                    self._finish(left, place)
                    continue
                yield _record(message)
                progress_s = time.monotonic()
                if message.offset() + 1 >= end:
                    self._finish(left, place)
            if left and not messages and time.monotonic() - progress_s > stall_s:
                raise self._stalled(left, stall_s)
        self._consumer.unassign()

    def follow(self, positions: Mapping[tuple[str, int], int]) -> Iterator[Record | None]:
        """Yield records from the positions on, for ever; None when there is none at the moment."""
        self._assign(positions)
        while True:
            # consume() waits until it has all that it may give: one first, then what is there.
            messages = self._consumer.consume(1, POLL_S)
            if messages:
                messages += self._consumer.consume(BATCH_RECORDS, 0)
            for message in messages:
                if message.error() is not None:
                    self._check(message.error())
                    continue
                yield _record(message)
            if not messages:
                yield None

    def _assign(self, positions: Mapping[tuple[str, int], int]) -> None:
        self._consumer.assign([TopicPartition(*place, at) for place, at in positions.items()])

    def _finish_at(self, left: dict[tuple[str, int], int], place: tuple[str, int], at: int) -> None:
        if place in left and at >= left[place]:
            self._finish(left, place)

    def _finish(self, left: dict[tuple[str, int], int], place: tuple[str, int]) -> None:
        if left.pop(place, None) is not None:
            self._consumer.incremental_unassign([TopicPartition(*place)])

    def _stalled(self, left: Mapping[tuple[str, int], int], stall_s: float) -> ReadStalledError:
        (topic, number), end = next(iter(left.items()))
        return ReadStalledError(
            f"no record of {topic}[{number}] up to offset {end} for {stall_s:.0f} s"
            f" ({len(left)} partitions wait): a transaction that is still open, or a broker in"
            f" trouble{self._because()}"
        )

    def _ask_partitions(self, reach_s: float) -> dict[str, int]:
        try:
            cluster = reach(self._consumer, self._complaints, self.bootstrap, reach_s)
        except BrokerError:
            self._consumer.close()
            raise
        return {name: len(topic.partitions) for name, topic in cluster.topics.items()}

    def _offsets(
        self, places: Sequence[tuple[str, int]], spec: OffsetSpec, level: IsolationLevel
    ) -> dict[tuple[str, int], int]:
        return {place: at.offset for place, at in self._found(places, spec, level).items()}

    def _found(
        self, places: Sequence[tuple[str, int]], spec: OffsetSpec, level: IsolationLevel
    ) -> dict[tuple[str, int], Any]:
        wanted = {TopicPartition(*place): spec for place in places}
        deadline_s = time.monotonic() + REACH_S
        while True:
            try:
                futures = self._admin.list_offsets(
                    wanted, isolation_level=level, request_timeout=REACH_S * 2
                )
                return {(at.topic, at.partition): f.result() for at, f in futures.items()}
            except KafkaException as error:
                if error.args[0].code() in NO_LEADER and time.monotonic() < deadline_s:
                    time.sleep(POLL_S)
                    continue
                raise refusal(self.bootstrap, error.args[0]) from error

    def _check(self, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF or error.retriable():
            return
        if error.code() in {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}:
            self._complaints.text = error.str()  # librdkafka tries again; the deadline is ours
            return
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return  # librdkafka looks for the coordinator of a group that is never joined
        raise refusal(self.bootstrap, error)

    def _because(self) -> str:
        return f" ({self._complaints.text})" if self._complaints.text else ""


def _record(message: Any) -> Record:
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        message.headers() or [],
    )
