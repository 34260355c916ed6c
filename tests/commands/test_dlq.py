"""`forecart dlq`: counts, one letter, and putting letters back as they were."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from stream.core.layout import Reason
from stream.wire.outputs import dead_letter
from tests.kafka_tools import read_all

pytestmark = pytest.mark.kafka


@pytest.fixture
def letters(kafka, make_topics, topic_prefix):
    """Five dead letters on one partition: offsets 0 to 4."""
    make_topics(["dead-letters"], 1)
    make_topics(["clicks", "searches", "purchases"], 4)
    made = [
        ("clicks", 0, 7, Reason.WRONG_PARTITION, b"ann", b'{"event_id": "1"}'),
        ("clicks", 1, 8, Reason.UNDECODABLE, b"bob", b"\xff\x1b[31m{"),
        ("searches", 0, 9, Reason.KEY_MISSING, None, b"{}"),
        ("clicks", 0, 10, Reason.TOO_LARGE, b"ann", b"x" * 50),
        ("clicks", 2, 11, Reason.WRONG_PARTITION, b"cat", b'{"event_id": "2"}'),
    ]
    producer = Producer({"bootstrap.servers": kafka})
    for topic, partition, offset, reason, key, value in made:
        letter = dead_letter(
            topic_prefix + topic, partition, offset, reason, "", key, value, value_bytes_max=40
        )
        producer.produce(
            topic_prefix + "dead-letters",
            key=letter.key,
            value=letter.value,
            headers=letter.headers,
            partition=0,
        )
    assert producer.flush(20) == 0
    return made


def test_list_counts_by_reason(on_broker, letters, topic_prefix):
    result = on_broker("dlq", "list")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["reason", "topic", "count", "newest", "at"]
    assert lines[1].split()[:4] == ["wrong_partition", f"{topic_prefix}clicks", "2", "0-4"]
    assert len(lines) == 6
    assert lines[-1] == "5 dead letters"


@pytest.mark.parametrize(
    ("words", "places"),
    [
        (["--reason", "wrong_partition"], ["0-0", "0-4"]),
        (["--reason", "key_missing", "--reason", "too_large"], ["0-2", "0-3"]),
        (["--topic", "searches"], ["0-2"]),
        (["--user", "ann"], ["0-0", "0-3"]),
        (["--user", "nobody"], []),
    ],
)
def test_list_filters(on_broker, letters, words, places):
    lines = on_broker("dlq", "list", "--each", *words).stdout.splitlines()
    each = [line.split()[0] for line in lines if line[0].isdigit() and "-" in line.split()[0]]
    assert each == places
    assert lines[-1] == f"{len(places)} dead letters"


def test_show_is_harmless(on_broker, letters, topic_prefix):
    result = on_broker("dlq", "show", "0-1")
    assert "reason: undecodable" in result.stdout
    assert f"topic: {topic_prefix}clicks" in result.stdout
    assert "key: bob" in result.stdout
    assert "value: \\xff\\x1b[31m{" in result.stdout
    assert "\x1b" not in result.stdout
    raw = on_broker("dlq", "show", f"{topic_prefix}dead-letters-0-1", "--raw")
    assert raw.stdout_bytes == b"\xff\x1b[31m{"


@pytest.mark.parametrize("place", ["0-5", "1-0", "0-999999"])
def test_show_what_is_not_there(on_broker, letters, place, topic_prefix):
    result = on_broker("dlq", "show", place)
    assert result.exit_code == 1
    assert result.stderr == f"Error: no dead letter at {topic_prefix}dead-letters-{place}\n"


def test_replay_puts_back_as_it_was(on_broker, kafka, letters, topic_prefix):
    result = on_broker("dlq", "replay", "--yes")
    assert result.exit_code == 0
    assert "1 stay: only a part of them is kept" in result.stdout
    assert "1 stay: without a key they would come back" in result.stdout
    assert result.stdout.splitlines()[-1] == "3 dead letters put back"
    back = {m.value(): m for m in read_all(kafka, topic_prefix + "clicks")}
    assert set(back) == {letters[0][5], letters[1][5], letters[4][5]}
    for value, message in back.items():
        key = message.key()
        assert key == {v: k for *_, k, v in letters}[value]
        # As aiokafka, and so Java, partitions keys.
        assert message.partition() == DefaultPartitioner()(key, [0, 1, 2, 3], [0, 1, 2, 3])
    assert back[letters[4][5]].headers() == [
        ("replayed-from", f"{topic_prefix}dead-letters-0-4".encode())
    ]


def test_replay_only_some_and_asks(on_broker, kafka, letters, topic_prefix):
    some = ("dlq", "replay", "--reason", "wrong_partition", "--place", "0-4")
    refused = on_broker(*some, stdin="n\n")
    assert refused.exit_code == 1
    assert "put 1 dead letters back?" in refused.output
    assert read_all(kafka, topic_prefix + "clicks") == []
    agreed = on_broker(*some, stdin="y\n")
    assert agreed.stdout.splitlines()[-1] == "1 dead letters put back"
    assert [m.key() for m in read_all(kafka, topic_prefix + "clicks")] == [b"cat"]


def test_replay_of_nothing(on_broker, letters):
    result = on_broker("dlq", "replay", "--user", "nobody")
    assert result.exit_code == 0
    assert result.stdout == "0 dead letters put back\n"


def test_replay_that_does_not_arrive_is_told(on_broker, kafka, letters, topic_prefix):
    """A record above the topic's limit: nothing is silently left out."""
    entry = ConfigEntry("max.message.bytes", "90", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(
        ConfigResource.Type.TOPIC, topic_prefix + "clicks", incremental_configs=[entry]
    )
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.incremental_alter_configs([resource])[resource].result(10)
    result = on_broker("dlq", "replay", "--place", "0-0", "--yes")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "0 records arrived" in result.stderr
    assert "1 did not" in result.stderr
