"""Erasing a user on a real broker: older events find nothing, later ones are a stranger's."""

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from stream.wire.murmur2 import partition_of
from tests.deployment import Deployment, deployment_on, until
from tests.kafka_tools import read_all

VICTIM = "canary-victim-5e1f"
TIME_MS = 1_700_000_000_000


def event(number: int, kind: str, user: str, at_ms: int) -> bytes:
    note: dict[str, Any] = {"event_id": f"e{number}", "event_type": kind, "event_time": at_ms}
    note |= {"user_id": user, "item_id": "i1", "query": "red shoes", "order_id": f"o{number}"}
    if kind == "purchase":
        note["items"] = [{"item_id": "i1", "quantity": 1, "price": 9.5}]
    return json.dumps(note).encode()


class Shop:
    """Writes events one by one, each where its user belongs."""

    def __init__(self, deployment: Deployment) -> None:
        self.settings = deployment.settings
        self.producer = Producer({"bootstrap.servers": self.settings.broker, "linger.ms": 2})
        self.count = 0

    def send(self, kind: str, user: str, at_ms: int, topic: str = "") -> None:
        name = topic or {"search": "searches", "purchase": "purchases"}.get(kind, "clicks")
        self.count += 1
        self.producer.produce(
            self.settings.topic(name), event(self.count, kind, user, at_ms), user.encode(),
            partition_of(user.encode(), self.settings.partitions),
        )  # fmt: skip
        assert self.producer.flush(30) == 0


def predictions_of(deployment: Deployment, user: str) -> list[dict[str, Any]]:
    rows = read_all(deployment.settings.broker, deployment.settings.topic("predictions"))
    return [json.loads(row.value()) for row in rows if row.key() == user.encode()]


def outcomes_of(deployment: Deployment) -> Counter[str]:
    report = deployment.audit()
    assert report.problems.count == 0, report.summary()
    counts: Counter[str] = Counter()
    for row in report.counts.values():
        counts.update(row)
    return counts


def configure(broker: str, kind: ResourceType, name: str, settings: dict[str, str | None]) -> None:
    """Set what has a value, and give back its default to what has none."""
    entries = [
        ConfigEntry(
            key, value or "",
            incremental_operation=AlterConfigOpType.SET if value else AlterConfigOpType.DELETE,
        )
        for key, value in settings.items()
    ]  # fmt: skip
    admin = AdminClient({"bootstrap.servers": broker})
    resource = ConfigResource(kind, name, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(20)


COMPACT_NOW: dict[str, str | None] = {
    "segment.ms": "100", "max.compaction.lag.ms": "1", "min.cleanable.dirty.ratio": "0.001",
    "delete.retention.ms": "0", "file.delete.delay.ms": "0",
}  # fmt: skip


def found_in(folders: list[Path], text: bytes) -> list[str]:
    """Name the files that hold the bytes; one that goes away while it is read holds none."""
    found = []
    for folder in folders:
        for path in folder.iterdir():
            try:
                found += [path.name] if text in path.read_bytes() else []
            except FileNotFoundError:
                continue
    return found


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_erased_killed_and_compacted_nothing_is_left(
    kafka: str, topic_prefix: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    deployment = deployment_on(kafka, topic_prefix, tmp_path, partitions=2)
    shop = Shop(deployment)
    state = deployment.settings.topic("user-state")
    home = partition_of(VICTIM.encode(), 2)
    others = [
        name for name in (f"u{n}" for n in range(50)) if partition_of(name.encode(), 2) == home
    ]
    try:
        worker = deployment.start()
        for number in range(6):
            shop.send("click", VICTIM, TIME_MS + 10 * number)
            shop.send("click", others[number], TIME_MS + 10 * number)
        until(lambda: len(predictions_of(deployment, VICTIM)) == 6, "predictions")
        shop.send("user_forget", VICTIM, TIME_MS + 1_000)
        until(lambda: outcomes_of(deployment)["control"] == 1, "the erasure")
        folders = list(tmp_path_factory.getbasetemp().glob(f"kafka[0-9]*/data/{state}-{home}"))
        assert len(folders) == 1
        assert found_in(folders, VICTIM.encode())  # before compaction: the search can find it
        # Older events, from the other topics, as the worker dies.
        for number in range(5):
            shop.send("search", VICTIM, TIME_MS + 100 + number)
            shop.send("purchase", VICTIM, TIME_MS + 200 + number)
        worker.kill()
        worker.start()
        until(lambda: outcomes_of(deployment)["forgotten"] == 10, "older events")
        assert len(predictions_of(deployment, VICTIM)) == 6
        # What comes later is of somebody new.
        shop.send("click", VICTIM, TIME_MS + 2_000)
        until(lambda: len(predictions_of(deployment, VICTIM)) == 7, "a prediction of later events")
        last = predictions_of(deployment, VICTIM)[-1]
        first = predictions_of(deployment, VICTIM)[0]
        assert (last["user_seq"], last["input"]["window_length"]) == (1, 1)
        assert last["user_epoch"] > first["user_epoch"]
        shop.send("user_forget", VICTIM, TIME_MS + 3_000)
        until(lambda: outcomes_of(deployment)["control"] == 2, "the second erasure")
        receipts = read_all(kafka, deployment.settings.topic("erasure-receipts"))
        assert len({row.key() for row in receipts}) == 1
        assert len(receipts) == 2
        assert not any(VICTIM.encode() in row.key() + row.value() for row in receipts)
        configure(kafka, ResourceType.BROKER, "1", {"log.cleaner.backoff.ms": "100"})
        configure(kafka, ResourceType.TOPIC, state, COMPACT_NOW)
        deadline = time.monotonic() + 90
        while found := found_in(folders, VICTIM.encode()):  # each commit may begin a new segment
            assert time.monotonic() < deadline, found
            shop.send("click", others[0], TIME_MS + 4_000 + shop.count)
            time.sleep(0.3)
        assert found_in(folders, others[3].encode())  # only the erased one is gone
        assert worker.kill(signal.SIGTERM) == 0
        assert outcomes_of(deployment)["in_flight"] == 0
        assert VICTIM not in worker.log.read_text()
    finally:
        deployment.stop()
        configure(kafka, ResourceType.BROKER, "1", {"log.cleaner.backoff.ms": None})
