"""A deployment under load, and what must hold of it whatever was done to it."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from confluent_kafka import Consumer, TopicPartition

from stream.shell.reader import BrokerError, Reader
from stream.wire.state import HEADER_KEY, decode_header
from stream.wire.topics import INPUTS
from tests.deployment import DEADLINE_S, Deployment, until
from tests.faults.load import Load
from tests.faults.replay import differences
from tests.kafka_tools import produce

RATE: Final = 800
USERS: Final = 1_500
_ADMIN_S: Final = 20.0


class _Said(msgspec.Struct):
    user_id: str
    as_of: int


class Loaded:
    """The deployment, its load, and the broker's view of both."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        settings = deployment.settings
        self.load = Load(settings.broker, settings.topic_prefix, 3, RATE, USERS)
        self.erasures = 0

    def stop(self) -> None:
        self.load.stop()
        self.deployment.stop()

    def wait_owned(self, *instances: int) -> None:
        """Wait until these workers own all partitions, each some."""
        workers = [self.deployment.worker(instance) for instance in instances]

        def divided() -> bool:
            for worker in workers:
                worker.check_runs()
            owned = [worker.owned_count() for worker in workers]
            return all(owned) and sum(owned) == len(self.partitions)

        until(divided, f"partitions divided among {instances}")

    @property
    def partitions(self) -> list[int]:
        return list(range(self.deployment.settings.partitions))

    def wait_predictions(self, partitions: Iterable[int] | None = None) -> None:
        """Wait until more predictions of each of these partitions can be read."""
        until(self.flowing(partitions), "predictions")

    def flowing(self, partitions: Iterable[int] | None = None) -> Callable[[], bool]:
        """Ask whether there are more predictions of each of these partitions than now."""
        wanted = self.partitions if partitions is None else list(partitions)
        before = self._ends(wanted)

        def grown() -> bool:
            return all(now > then for now, then in zip(self._ends(wanted), before, strict=True))

        return grown

    def _ends(self, partitions: list[int]) -> list[int]:
        """Where predictions end, once brokers tell: not while one that died is still a leader."""
        topic = self.deployment.settings.topic("predictions")
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                with Reader(self.deployment.settings.broker) as reader:
                    ranges = reader.ranges([topic])
                    return [ranges[topic, partition][1] for partition in partitions]
            except BrokerError:
                if time.monotonic() > deadline:
                    raise

    def erase(self, count: int) -> list[bytes]:
        """Have so many users forgotten, as of their last event; returns their keys."""
        settings = self.deployment.settings
        lasts: dict[bytes, int] = {}
        with Reader(settings.broker) as reader:
            for record in reader.records(reader.ranges([settings.topic("predictions")])):
                note = msgspec.json.decode(record.value or b"", type=_Said)
                if not note.user_id.startswith("anon:"):
                    lasts[note.user_id.encode()] = note.as_of
        keys = sorted(lasts)[:count]
        rows = [
            (
                key,
                msgspec.json.encode({
                    "event_id": f"forget-{key.decode()}", "event_type": "user_forget",
                    "event_time": lasts[key], "user_id": key.decode(),
                }),
            )
            for key in keys
        ]  # fmt: skip
        produce(settings.broker, settings.topic("clicks"), rows)
        self.erasures += len(rows)
        return keys

    def wait_erased(self, keys: Iterable[bytes]) -> None:
        """Wait until the changelog has a tombstone of each of these users."""
        topic = self.deployment.settings.topic("user-state")
        with Reader(self.deployment.settings.broker) as reader:

            def erased() -> bool:
                records = reader.records(reader.ranges([topic]))
                return set(keys) <= {record.key for record in records if record.value is None}

            until(erased, "tombstones")

    def headers(self) -> dict[int, Mapping[str, int]]:
        """Give the next input offsets by partition, as the last committed headers have them."""
        topic = self.deployment.settings.topic("user-state")
        found: dict[int, Mapping[str, int]] = {}
        with Reader(self.deployment.settings.broker) as reader:
            for record in reader.records(reader.ranges([topic])):
                if record.key == HEADER_KEY:
                    found[record.partition] = decode_header(record.value or b"").offset_next
        return found

    def committed(self) -> dict[int, Mapping[str, int]]:
        """Give the same as the group's committed offsets have it."""
        settings = self.deployment.settings
        places = [TopicPartition(settings.topic(n), p) for n in INPUTS for p in self.partitions]
        asking = Consumer({"bootstrap.servers": settings.broker, "group.id": settings.group})
        try:  # it joins nothing; read_committed, the default, waits for offsets to be stable
            answer = asking.committed(places, timeout=_ADMIN_S)
        finally:
            asking.close()
        found: dict[int, dict[str, int]] = {partition: {} for partition in self.partitions}
        for place in answer:
            found[place.partition][place.topic] = place.offset
        return dict(found)

    def open_records(self) -> int:
        """Count records of transactions that have not ended, of all output topics."""
        settings = self.deployment.settings
        topics = [settings.topic(n) for n in ("predictions", "intake-receipts", "user-state")]
        with Reader(settings.broker) as reader:
            high, stable = reader.ranges(topics, stable=False), reader.ranges(topics)
        return sum(high[place][1] - stable[place][1] for place in high)

    def check(self) -> None:
        """Hold the load; every event has one outcome, and the state is that of a replay."""
        began = time.monotonic()
        report = self.deployment.settled(self.load.off() + self.erasures)
        settled_s = time.monotonic() - began
        assert report.problems.count == 0, (report.summary(), report.problems.shown)
        assert report.total("predicted") > 0.9 * self.load.records
        found = differences(self.deployment)
        assert found == [], "\n".join(found)
        replayed_s = time.monotonic() - began - settled_s
        print(report.summary(), f"settled_s={settled_s:.1f} replayed_s={replayed_s:.1f}")
