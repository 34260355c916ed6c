"""`forecart worker` as a process on a real broker: killed, restarted, fed with rubbish; audited."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from stream.audit.run import Names, Report, audit
from stream.local.publish import Pace, Publisher, run_paced
from stream.local.shop import Shop
from stream.settings import Settings
from stream.shell.admin import TopicAdmin
from stream.shell.reader import Reader
from stream.wire.murmur2 import partition_of
from stream.wire.topics import INPUTS
from tests.kafka_tools import read_all

FORECART = [sys.executable, "-c", "from stream.cli import main; main()"]
DEADLINE_S = 90.0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


class Deployment:
    """Topics, a worker that can be killed, and the audit of what it did."""

    def __init__(self, kafka: str, prefix: str, folder: Path) -> None:
        self.settings = Settings(
            broker=kafka, topic_prefix=prefix, group=prefix, state_dir=str(folder)
        )
        TopicAdmin(kafka, self.settings).apply()
        self.log = folder / "worker.log"
        self.log_first = 0  # characters of the log before the last start
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        settings = self.settings
        environ = {
            **os.environ,
            "FORECART_TOPIC_PREFIX": settings.topic_prefix,
            "FORECART_GROUP": settings.group,
            "FORECART_STATE_DIR": settings.state_dir,
            "FORECART_COMMIT_INTERVAL_MS": "200",
            "FORECART_BATCH_EVENTS_MAX": "512",  # slower: a kill must find it at work
            "FORECART_PROVIDER": "cpu",
        }
        command = [*FORECART, "worker", "--broker", settings.broker, *arguments]
        self.log_first = len(self.log.read_text()) if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def publish_shop(self, events: int, seed: int, rate: float | None = None) -> int:
        publisher = Publisher(self.settings.broker, [self.settings.topic(name) for name in INPUTS])
        try:
            shop = Shop(seed, users=300, items=200, partitions=self.settings.partitions)
            done = run_paced(
                publisher,
                shop.events(),
                Pace(rate=rate),
                stop=threading.Event(),
                records_max=events,
            )
        finally:
            publisher.close()
        return done.records

    def audit(self, *, repeats: bool = False) -> Report:
        topic = self.settings.topic
        names = Names(
            tuple(topic(name) for name in INPUTS),
            topic("intake-receipts"), topic("predictions"), topic("dead-letters"),
        )  # fmt: skip
        with Reader(self.settings.broker) as log:
            return audit(log, names, repeats=repeats)

    def settled(self, events: int, *, repeats: bool = False) -> Report:
        """Audit once nothing is in flight."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            report = self.audit(repeats=repeats)
            total = sum(sum(row.values()) for row in report.counts.values())
            if total == events and report.total("in_flight") == 0:
                return report
            self.check_runs()
            assert time.monotonic() < deadline, report.summary() + self.log.read_text()[-3000:]
            time.sleep(0.5)

    def wait_until_it_runs(self) -> None:
        """Wait for the worker that was started last: what is said is in the log."""
        until(lambda: " running\n" in self.log.read_text()[self.log_first :], "a running worker")

    def check_runs(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]

    def committed(self) -> int:
        """Predictions that can be read."""
        with Reader(self.settings.broker) as reader:
            ranges = reader.ranges([self.settings.topic("predictions")])
            return sum(end - first for first, end in ranges.values())


@pytest.fixture
def deployment(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(kafka, topic_prefix, tmp_path)
    yield made
    made.stop()


def until(condition: Callable[[], bool], what: str, limit_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.1)


def test_killed_three_times_nothing_is_lost_or_repeated(deployment: Deployment) -> None:
    events = deployment.publish_shop(30_000, seed=11)
    deployment.start()
    for share in (0.1, 0.3, 0.6):
        until(lambda share=share: deployment.committed() > share * events, "progress")
        deployment.kill()
        deployment.start()
    report = deployment.settled(events)
    assert report.problems.count == 0, report.summary()
    assert report.total("predicted") > 0.9 * events
    deployment.wait_until_it_runs()
    assert deployment.kill(signal.SIGTERM) == 0


def test_stops_in_order_and_goes_on_from_there(deployment: Deployment) -> None:
    deployment.start()
    events = deployment.publish_shop(3_000, seed=12)
    until(lambda: deployment.committed() > 500, "progress")
    assert deployment.kill(signal.SIGTERM) == 0
    deployment.start()
    report = deployment.settled(events)
    assert report.problems.count == 0, report.summary()


def test_two_workers_share_the_work(deployment: Deployment) -> None:
    deployment.start()
    second = Deployment(deployment.settings.broker, deployment.settings.topic_prefix,
                        Path(deployment.settings.state_dir))  # fmt: skip
    try:
        events = deployment.publish_shop(6_000, seed=13)
        until(lambda: deployment.committed() > 500, "progress")
        second.start()
        report = deployment.settled(events)
        assert report.problems.count == 0, report.summary()
    finally:
        second.stop()


def test_at_least_once_balances_too(deployment: Deployment) -> None:
    deployment.start("--set", "guarantee=at_least_once")
    events = deployment.publish_shop(4_000, seed=14)
    until(lambda: deployment.committed() > 200, "progress")
    deployment.kill()
    deployment.start("--set", "guarantee=at_least_once")
    report = deployment.settled(events, repeats=True)
    assert report.problems.count == 0, report.summary()


def test_rubbish_among_good_events(deployment: Deployment) -> None:
    """200 bad records: each in the dead letters with its reason, every good one predicted."""
    settings = deployment.settings

    def click(number: int, user: str = "u", **changed: object) -> bytes:
        event = {
            "event_id": f"e{number}", "event_type": "click",
            "event_time": 1_700_000_000_000 + number, "user_id": user, "item_id": "i1", **changed,
        }  # fmt: skip
        return json.dumps(event).encode()

    bad: list[tuple[str, bytes | None, bytes]] = []
    for n in range(40):
        bad += [
            ("undecodable", b"u", b"\xff\x00garbage" + bytes([n])),
            ("undecodable", b"u", click(n)[: 20 + n]),
            ("schema_invalid", b"u", click(n, item_id=["wrong", "type"])),
            ("key_missing", None, click(n)),
        ]
    bad += [("too_large", b"u", click(n, query="x" * 2_000_000)) for n in range(10)]
    bad += [("wrong_partition", b"u", click(n)) for n in range(30)]
    assert len(bad) == 200
    home = partition_of(b"u", settings.partitions)
    good = 500
    producer = _producer(settings.broker)
    topic = settings.topic("clicks")
    for n in range(good):
        producer.produce(topic, click(1_000 + n), b"u", home)
        if n < len(bad):
            reason, key, value = bad[n]
            shift = 1 if reason == "wrong_partition" else 0
            producer.produce(topic, value, key, (home + shift) % settings.partitions)
    assert producer.flush(30) == 0
    deployment.start()
    report = deployment.settled(good + len(bad))
    assert report.problems.count == 0, report.summary()
    assert report.total("predicted") == good
    letters = read_all(settings.broker, settings.topic("dead-letters"))
    found = Counter(dict(letter.headers())["reason"].decode() for letter in letters)
    assert found == Counter(reason for reason, _, _ in bad)


def _producer(broker: str) -> Producer:
    return Producer({"bootstrap.servers": broker, "message.max.bytes": 4 << 20, "linger.ms": 5})


def test_a_first_start_can_be_stopped_while_it_compiles(deployment, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))  # nothing is compiled yet
    deployment.start()
    until = time.monotonic() + DEADLINE_S
    while "warming up" not in deployment.log.read_text():
        deployment.check_runs()
        assert time.monotonic() < until
        time.sleep(0.1)
    assert deployment.kill(signal.SIGTERM) == 0
    assert "stopped while warming up" in deployment.log.read_text()
