"""`forecart topics`: the contract on a real broker."""

import json
import time

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from deploy import asyncapi
from stream.wire.topics import DAY_MS, TABLE

pytestmark = pytest.mark.kafka


def configs_of(kafka, name):
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    admin = AdminClient({"bootstrap.servers": kafka})
    found = admin.describe_configs([resource])[resource].result(10)
    return {key: entry.value for key, entry in found.items()}


def make_one(kafka, name, partitions, **config):
    admin = AdminClient({"bootstrap.servers": kafka})
    new = NewTopic(name, partitions, 1, config=config)
    admin.create_topics([new], operation_timeout=10)[name].result(10)
    while name not in admin.list_topics(timeout=10).topics:
        time.sleep(0.02)  # the broker answers before it lists


def assert_as_documented(kafka, prefix):
    """The topics under a prefix are the channels of docs/asyncapi.json, by the broker's word."""
    channels = json.loads(asyncapi.FILE.read_text())["channels"]
    topics = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
    assert {name for name in topics if name.startswith(prefix)} == {prefix + c for c in channels}
    for channel in channels.values():
        name, documented = prefix + channel["address"], channel["bindings"]["kafka"]
        partitions = topics[name].partitions
        assert len(partitions) == documented["partitions"]
        assert {len(each.replicas) for each in partitions.values()} == {documented["replicas"]}
        live = configs_of(kafka, name)
        for key, value in documented["topicConfiguration"].items():
            as_list = value if isinstance(value, list) else [str(value)]
            assert sorted(live[key].split(",")) == sorted(as_list), (name, key)


def test_apply_creates_what_the_contract_says(on_broker, kafka, topic_prefix):
    result = on_broker("topics", "apply", "--set", "partitions=3")
    assert result.exit_code == 0, result.output
    assert f"created {topic_prefix}clicks: 3 partitions" in result.stdout
    assert result.stdout.splitlines()[-1] == f"{len(TABLE)} topics, {len(TABLE)} changes"
    cluster = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10)
    for topic in TABLE:
        assert len(cluster.topics[topic_prefix + topic.name].partitions) == 3
    state = configs_of(kafka, topic_prefix + "user-state")
    assert state["cleanup.policy"] == "compact"
    assert state["min.cleanable.dirty.ratio"] == "0.2"
    assert state["max.compaction.lag.ms"] == "3600000"
    clicks = configs_of(kafka, topic_prefix + "clicks")
    assert clicks["retention.ms"] == str(7 * DAY_MS)
    assert clicks["max.message.bytes"] == str(4 << 20)
    again = on_broker("topics", "apply", "--set", "partitions=3")
    assert again.stdout == f"{len(TABLE)} topics, 0 changes\n"
    described = on_broker("topics", "describe", "--set", "partitions=3")
    assert described.exit_code == 0
    assert f"{topic_prefix}churn-alerts" in described.stdout


def test_apply_alters_what_differs(on_broker, kafka, topic_prefix):
    name = topic_prefix + "dead-letters"
    make_one(kafka, name, 4, **{"retention.ms": "1000"})
    described = on_broker("topics", "describe", "--json")
    assert described.exit_code == 1
    differences = json.loads(described.stdout)["differences"]
    assert {"topic": name, "what": "retention.ms", "found": "1000", "wanted": str(30 * DAY_MS)} in (
        differences
    )
    missing = {d["topic"] for d in differences if d["what"] == "missing"}
    assert missing == {topic_prefix + t.name for t in TABLE} - {name}
    result = on_broker("topics", "apply")
    assert f"altered {name}: retention.ms 1000 -> {30 * DAY_MS}" in result.stdout
    assert configs_of(kafka, name)["retention.ms"] == str(30 * DAY_MS)
    assert on_broker("topics", "describe").exit_code == 0
    assert_as_documented(kafka, topic_prefix)


@pytest.mark.parametrize(
    ("have", "cure"),
    [
        ({"clicks": 2}, "run with --set partitions=2, or"),
        ({"clicks": 5}, "run with --set partitions=5, or"),
        ({"clicks": 2, "searches": 4}, "give each 4 partitions"),
    ],
)
def test_other_partitions_are_refused_with_the_cure(on_broker, kafka, topic_prefix, have, cure):
    for name, partitions in have.items():
        make_one(kafka, topic_prefix + name, partitions)
    result = on_broker("topics", "apply", "--set", "partitions=4")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert f"{topic_prefix}clicks has {have['clicks']}" in result.stderr
    assert cure in result.stderr
    cluster = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10)
    made = [name for name in cluster.topics if name.startswith(topic_prefix)]
    assert len(made) == len(have)  # nothing was created beside them
    described = on_broker("topics", "describe", "--set", "partitions=4")
    assert f"{topic_prefix}clicks: partitions: {have['clicks']}, should be 4" in described.stdout


def test_replicas_are_told_not_moved(on_broker, topic_prefix):
    assert on_broker("topics", "apply").exit_code == 0
    described = on_broker("topics", "describe", "--set", "replication=3")
    assert f"{topic_prefix}clicks: replication: 1, should be 3 (moving" in described.stdout
    assert f"{topic_prefix}clicks: min.insync.replicas: 1, should be 2" in described.stdout
