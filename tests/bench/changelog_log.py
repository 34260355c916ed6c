"""One scheme's topic on the bench's broker: commits into it, its size, reading it back.

Rules of the room: a commit is one transaction over all partitions, as a worker's is, with the
worker's producer settings. Time spent making events is never inside what is measured.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from stream.core.engine import Engine
from stream.core.layout import USER
from stream.core.state import State
from stream.local.kafka import EmbeddedKafka
from stream.shell.producer import ProducerConfig, produce_all
from stream.shell.reader import quiet_logger
from stream.wire.state import HEADER_KEY, clock_of, decode_header
from tests.bench.changelog_schemes import Records, Scheme
from tests.bench.full_users import FILL_USERS, FullUsers, new_engine

COMMIT_S: Final = 0.5
FILL_COMMIT_USERS: Final = 40_000  # of all partitions, while the log is filled
WARM_COMMITS: Final = 4
SAMPLE_S: Final = 2.0
DEADLINE_S: Final = 60.0
DISK_BYTES_MAX: Final = 12 << 30  # a run ends there, and says so


@dataclass
class Spent:
    """What commits cost, and the log's size over time."""

    commits: int = 0
    events: int = 0
    records: int = 0
    raw_bytes: int = 0
    seconds: float = 0.0  # within commits
    longest_s: float = 0.0
    log_bytes: int = 0  # sent to the broker, as compressed
    encode_cpu_s: float = 0.0
    cpu_s: float = 0.0  # of this process, all threads
    elapsed_s: float = 0.0
    broker_cpu_s: float = 0.0
    sizes: list[tuple[float, int]] = field(default_factory=list)  # seconds, bytes on disk


class Log:
    """One scheme's topic: commits into it, trims it, reads it back."""

    def __init__(
        self, kafka: EmbeddedKafka, scheme: Scheme, full: FullUsers, compression: str
    ) -> None:
        self.scheme = scheme
        self.full = full
        self.topic = f"state-{scheme.name}"
        self._kafka = kafka
        self._servers = {"bootstrap.servers": kafka.status().bootstrap}
        self._admin = AdminClient(self._servers, logger=quiet_logger())
        new = NewTopic(self.topic, full.card.partitions, 1, config=scheme.configs)
        for future in self._admin.create_topics([new]).values():
            future.result(30)
        config = ProducerConfig(str(self._servers["bootstrap.servers"]), compression=compression)
        self._limit = config.message_bytes_max
        self._producer = Producer(
            config.librdkafka()
            | {
                "transactional.id": self.topic,
                "transaction.timeout.ms": int(DEADLINE_S * 1000),
                "statistics.interval.ms": 500,
                "stats_cb": self._take_statistics,
            },
            logger=quiet_logger(),
        )
        self._sent: list[int] = []
        self._producer.init_transactions(DEADLINE_S)
        self._round_starts: dict[int, int] = {}

    def fill(self) -> Spent:
        """Write every user once."""
        spent = Spent()
        slots_count = max(len(engine.state.users) for engine in self.full.engines)
        share = FILL_COMMIT_USERS // len(self.full.engines)
        for first in range(0, slots_count, share):
            self._commit(spent, partial(self._fill, first, first + share))
        self._round_starts = self.ends()
        return spent

    def _fill(self, first: int, last: int, number: int) -> Records:
        return self.scheme.fill(number, first, last)

    def run(self, rate: int, seconds: float) -> Spent:
        """Commit twice a second for `seconds`, or until the disk's share is full."""
        events = int(rate * COMMIT_S)
        for _ in range(WARM_COMMITS):
            self.full.touch(events, int(COMMIT_S * 1000))
            self._commit(Spent(), self.scheme.commit)
        spent = Spent()
        broker_s, sent = self._broker_cpu_s(), self._sent_bytes()
        begin = time.monotonic()
        while (elapsed := time.monotonic() - begin) < seconds:
            if not spent.sizes or elapsed - spent.sizes[-1][0] >= SAMPLE_S:
                spent.sizes.append((elapsed, self.disk_bytes()))
                if spent.sizes[-1][1] > DISK_BYTES_MAX:
                    print(f"{self.scheme.name}: ended after {elapsed:.0f} s, the disk's share used")
                    break
            time.sleep(max(0.0, spent.commits * COMMIT_S - elapsed))
            self.full.touch(events, int(COMMIT_S * 1000))
            spent.events += events
            self._commit(spent, self.scheme.commit)
        spent.elapsed_s = time.monotonic() - begin
        spent.sizes.append((spent.elapsed_s, self.disk_bytes()))
        spent.broker_cpu_s = self._broker_cpu_s() - broker_s
        spent.log_bytes = self._sent_bytes() - sent
        return spent

    def _commit(self, spent: Spent, records_of: Callable[[int], Records]) -> None:
        begin, cpu = time.monotonic(), time.process_time()
        self._producer.begin_transaction()
        for number in range(len(self.full.engines)):
            encode = time.thread_time()
            records = records_of(number)
            keys = [key for key, _ in records]
            values = [value for _, value in records]
            spent.encode_cpu_s += time.thread_time() - encode
            produce_all(
                self._producer, self.topic, number, keys, values, None,
                message_bytes_max=self._limit, deadline_s=DEADLINE_S,
            )  # fmt: skip
            spent.records += len(records)
            spent.raw_bytes += sum(map(len, keys)) + sum(len(value or b"") for value in values)
        self._producer.commit_transaction(DEADLINE_S)
        if self.scheme.round_ended():
            self._trim()
        spent.cpu_s += time.process_time() - cpu
        seconds = time.monotonic() - begin
        spent.seconds += seconds
        spent.longest_s = max(spent.longest_s, seconds)
        spent.commits += 1

    def _trim(self) -> None:
        """Remove what lies before the round that is complete now."""
        if self._round_starts:
            places = [TopicPartition(self.topic, *start) for start in self._round_starts.items()]
            for future in self._admin.delete_records(places).values():
                future.result(30)
        self._round_starts = self.ends()

    def ends(self) -> dict[int, int]:
        """Return each partition's end."""
        return {number: end for number, (_, end) in self._ranges().items()}

    def _ranges(self) -> dict[int, tuple[int, int]]:
        consumer = self._consumer()
        try:
            return {
                number: consumer.get_watermark_offsets(TopicPartition(self.topic, number), 10)
                for number in range(self.full.card.partitions)
            }
        finally:
            consumer.close()

    def restore(self) -> tuple[list[Engine], dict[str, float]]:
        """Read the log into fresh engines; returns them and seconds by part."""
        card, users = self.full.card, self.full.users_count
        slots = [len(engine.state.users) for engine in self.full.engines]
        engines = [new_engine(card, users, number) for number in range(card.partitions)]
        readers = [self.scheme.reader(e, n) for e, n in zip(engines, slots, strict=True)]
        spent = {"records": 0.0, "MB": 0.0, "apply": 0.0, "cpu": time.process_time()}
        begin = time.monotonic()
        headers: dict[int, bytes] = {}
        consumer = self._consumer()
        left = {number for number, (first, end) in self._ranges().items() if first < end}
        consumer.assign([TopicPartition(self.topic, n, self._ranges()[n][0]) for n in left])
        while left:
            parts: dict[int, Records] = {}
            for message in consumer.consume(self.scheme.consume, 0.2):
                error = message.error()
                if error is None:
                    key, value = message.key(), message.value()
                    parts.setdefault(message.partition(), []).append((key, value))
                    spent["MB"] += len(value) / 1e6
                    if key == HEADER_KEY:
                        headers[message.partition()] = value
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                else:
                    raise RuntimeError(str(error))
            at = time.monotonic()
            for number, records in parts.items():
                readers[number](records)
                spent["records"] += len(records)
            spent["apply"] += time.monotonic() - at
        consumer.close()
        spent["read + apply"] = time.monotonic() - begin
        for number, engine in enumerate(engines):
            engine.finish_restore(clock_of(decode_header(headers[number])))
        spent["all"] = time.monotonic() - begin
        spent["cpu"] = time.process_time() - spent["cpu"]
        return engines, spent

    def delete(self) -> None:
        """Let go of the producer, delete the topic and wait until its files are gone."""
        self._producer.close()
        for future in self._admin.delete_topics([self.topic]).values():
            future.result(30)
        until = time.monotonic() + DEADLINE_S
        while self.disk_bytes() and time.monotonic() < until:
            time.sleep(0.2)

    def disk_bytes(self) -> int:
        """Return what the topic's files take on disk, those about to be deleted too."""
        size = 0
        for number in range(self.full.card.partitions):
            folder = self._kafka.home / "data" / f"{self.topic}-{number}"
            # The broker removes files and, in the end, the folder meanwhile.
            with contextlib.suppress(FileNotFoundError):
                for entry in os.scandir(folder):
                    with contextlib.suppress(FileNotFoundError):
                        size += entry.stat().st_blocks * 512
        return size

    def _take_statistics(self, text: str) -> None:
        brokers = json.loads(text)["brokers"].values()
        self._sent.append(sum(broker["txbytes"] for broker in brokers))

    def _sent_bytes(self) -> int:
        """Wait for the next count of bytes sent. Nothing is being sent meanwhile."""
        known = len(self._sent)
        while len(self._sent) < known + 2:  # the next one may be of before
            self._producer.poll(0.1)
        return self._sent[-1]

    def _broker_cpu_s(self) -> float:
        fields = Path(f"/proc/{self._kafka.status().pid}/stat").read_text().rpartition(")")[2]
        return sum(map(int, fields.split()[11:13])) / 100

    def _consumer(self) -> Consumer:
        return Consumer(
            self._servers
            | {
                "group.id": "bench",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": 1 << 17,
            },
            logger=quiet_logger(),
        )


def check_same(writers: list[Engine], readers: list[Engine]) -> None:
    """Compare users and rings by key. Raises RuntimeError."""
    names = [name for name in USER.names or () if name != "ring_head"]
    for ours, theirs in zip(writers, readers, strict=True):
        if set(ours._slots) != set(theirs._slots):
            raise RuntimeError(f"restored {theirs.users_count} users of {ours.users_count}")
        keys = list(ours._slots)
        for first in range(0, len(keys), FILL_USERS):
            mine, restored = (
                np.array([engine._slots[key] for key in keys[first : first + FILL_USERS]])
                for engine in (ours, theirs)
            )
            left, right = ours.state.users[mine], theirs.state.users[restored]
            wrong = [name for name in names if left[name].tobytes() != right[name].tobytes()]
            if wrong or _in_order(ours.state, mine) != _in_order(theirs.state, restored):
                raise RuntimeError(f"restored state differs: {wrong or 'steps'}")


def _in_order(state: State, slots: Any) -> bytes:
    window = state.ring.shape[1]
    at = (state.users["ring_head"][slots][:, None].astype(int) + np.arange(window)) % window
    steps: bytes = state.ring[slots[:, None], at].tobytes()
    return steps
