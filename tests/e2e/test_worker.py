"""`forecart worker` as a process on a real broker: killed, restarted, fed with rubbish; audited."""

import json
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Producer

from stream.wire.murmur2 import partition_of
from tests.deployment import Deployment, until
from tests.kafka_tools import read_all

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def test_killed_three_times_nothing_is_lost_or_repeated(deployment: Deployment) -> None:
    events = deployment.publish_shop(30_000, seed=11)
    worker = deployment.start()
    for share in (0.1, 0.3, 0.6):
        until(lambda share=share: deployment.committed() > share * events, "progress")
        worker.kill()
        worker.start()
    report = deployment.settled(events)
    assert report.problems.count == 0, report.summary()
    assert report.total("predicted") > 0.9 * events
    worker.wait_until_it_runs()
    assert worker.kill(signal.SIGTERM) == 0


def test_stops_in_order_and_goes_on_from_there(deployment: Deployment) -> None:
    worker = deployment.start()
    events = deployment.publish_shop(3_000, seed=12)
    until(lambda: deployment.committed() > 500, "progress")
    assert worker.kill(signal.SIGTERM) == 0
    worker.start()
    report = deployment.settled(events)
    assert report.problems.count == 0, report.summary()


def test_two_workers_share_the_work(deployment: Deployment) -> None:
    deployment.start()
    events = deployment.publish_shop(6_000, seed=13)
    until(lambda: deployment.committed() > 500, "progress")
    deployment.start(instance=1)
    report = deployment.settled(events)
    assert report.problems.count == 0, report.summary()


def test_at_least_once_balances_too(deployment: Deployment) -> None:
    worker = deployment.start("--set", "guarantee=at_least_once")
    events = deployment.publish_shop(4_000, seed=14)
    until(lambda: deployment.committed() > 200, "progress")
    worker.kill()
    worker.start("--set", "guarantee=at_least_once")
    report = deployment.settled(events, repeats=True)
    assert report.problems.count == 0, report.summary()


def test_catching_up_tells_each_users_last(deployment: Deployment) -> None:
    """All is late at first; what comes after the start is in time and told one by one."""
    flag = ("--set", "catch_up_age_s=1.5")
    late = deployment.publish_shop(20_000, seed=15)
    time.sleep(2)
    worker = deployment.start(*flag)
    until(lambda: deployment.committed() > 0.2 * late, "progress")
    worker.kill()
    worker.start(*flag)
    report = deployment.settled(late)
    assert report.problems.count == 0, report.summary()
    coalesced = report.total("coalesced")
    assert coalesced > late / 4  # of 300 users
    worker.wait_until_it_runs()
    events = late + deployment.publish_shop(300, seed=16)
    report = deployment.settled(events)
    assert report.problems.count == 0, report.summary()
    assert report.total("coalesced") == coalesced


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


def test_a_first_start_can_be_stopped_while_it_compiles(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))  # nothing is compiled yet
    worker = deployment.start()
    worker.wait_said("warming up")
    assert worker.kill(signal.SIGTERM) == 0
    assert "stopped while warming up" in worker.said()
