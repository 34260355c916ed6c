"""The doctor on a real broker: each fault is named, and its cure cures it."""

import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from stream.shell.control import write_control
from stream.wire.murmur2 import partition_of
from stream.wire.topics import TABLE
from stream.wire.types import ModelControl
from tests.kafka_tools import create_topics, produce

pytestmark = pytest.mark.kafka

KEYS = [b"u%d" % n for n in range(50)]


@pytest.fixture
def look(doctor, kafka, topic_prefix):
    """The doctor, and `forecart topics apply`, on the topics of this test."""
    words = ("--broker", kafka, "--set", f"topic_prefix={topic_prefix}", "--set", "provider=cpu")

    def run(*more, **environ):
        return doctor(*words, *more, **environ)

    return run


def verdicts(found):
    return {check: [each["verdict"] for each in findings] for check, findings in found.items()}


def test_a_deployment_is_mended_by_what_it_is_told(look, mend, kafka, topic_prefix):
    status, found = look()
    assert status == 1
    (missing,) = found["topics"]
    assert missing["said"].startswith("missing: ")
    assert missing["said"].count(topic_prefix) == len(TABLE)
    mend(missing["cure"])
    status, found = look(FORECART_ERASURE_KEY="x")
    assert (status, {v for each in verdicts(found).values() for v in each}) == (0, {"ok"})
    assert f"{len(TABLE)} topics of 4 partitions" in found["topics"][0]["said"]
    assert "no record yet" in found["records"][0]["said"]
    clicks = topic_prefix + "clicks"
    produce(kafka, clicks, [(key, b"{}") for key in KEYS])
    state = ConfigResource(
        ConfigResource.Type.TOPIC, topic_prefix + "user-state",
        incremental_configs=[
            ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
        ],
    )  # fmt: skip
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.incremental_alter_configs([state])[state].result(10)
    control = ModelControl(
        model="main", active="lost-1", previous="demo", issued_at=1, issued_by="a test"
    )
    write_control(kafka, topic_prefix + "model-control", control)
    status, found = look()
    assert status == 1
    assert found["records"][0]["said"] == "50 recent records are where murmur2 puts their keys"
    assert "none came while looking" in found["clock"][0]["said"]
    (changed,) = found["topics"]
    assert changed["said"].endswith("user-state: cleanup.policy is delete, should be compact")
    assert "lost-1 cannot serve here" in found["model"][0]["said"]
    mend(changed["cure"])
    assert verdicts(look()[1])["topics"] == ["ok"]


def test_partitions_records_and_clocks_that_are_wrong(look, kafka, topic_prefix):
    names = [topic_prefix + topic.name for topic in TABLE]
    create_topics(kafka, [name for name in names if not name.endswith("searches")], 2)
    create_topics(kafka, [topic_prefix + "searches"], 3)
    key = KEYS[0]
    wrong = 1 - partition_of(key, 2)
    produce(kafka, topic_prefix + "clicks", [(key, b"{}"), (None, b"{}")], partition=wrong)
    ahead = Producer({"bootstrap.servers": kafka})
    time_ms = int(time.time() * 1000) + 3_600_000
    ahead.produce(topic_prefix + "purchases", b"{}", KEYS[1], 0, timestamp=time_ms)
    assert ahead.flush(20) == 0
    status, found = look("--set", "partitions=2")
    assert status == 1
    (partitions, *_) = found["topics"]
    assert partitions["verdict"] == "fail"
    assert f"{topic_prefix}searches has 3" in partitions["said"]
    assert "give each 3 partitions" in partitions["cure"]
    elsewhere, keyless = found["records"]
    assert elsewhere["verdict"] == keyless["verdict"] == "fail"
    place = f"{topic_prefix}clicks-{wrong}"
    assert f"{place}-0 belongs to partition {1 - wrong}" in elsewhere["said"]
    assert f"{place}-1 has no key" in keyless["said"]
    assert key.decode() not in elsewhere["said"].replace(topic_prefix, "")
    assert "partitioner=murmur2_random" in elsewhere["cure"]
    assert "dlq replay" not in keyless["cure"]
    (clock,) = found["clock"]
    assert clock["verdict"] == "fail"
    assert "s in the future of this clock" in clock["said"]
