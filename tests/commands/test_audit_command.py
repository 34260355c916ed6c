"""`forecart audit` on a real broker: the small log, its markers, each kind of status."""

import pytest

from tests.audit.small_log import CLICKS, EVENTS, Lines
from tests.commands.broker_log import write_log

pytestmark = pytest.mark.kafka


def test_correct_log_passes(on_broker, kafka, topic_prefix):
    write_log(kafka, topic_prefix, Lines())
    result = on_broker("audit", "--settle", "20")
    lines = result.stdout.splitlines()
    assert lines[-1] == (
        "events=16 predicted=9 duplicate=2 dead_lettered=2 control=1 forgotten=1 coalesced=1"
        " in_flight=0 problems=0"
    )
    assert lines[0].split() == [
        "topic-partition",
        "predicted",
        "duplicate",
        "dead_lettered",
        "control",
        "forgotten",
        "coalesced",
        "in_flight",
    ]
    assert lines[1].split() == [f"{topic_prefix}clicks-0", "5", "1", "1", "1", "1", "0", "0"]
    assert result.exit_code == 0


def test_faulty_log_fails(on_broker, kafka, topic_prefix):
    lines = Lines()
    lines.predictions.remove(lines.prediction(CLICKS, 0, 1))
    lines.dead_letters = lines.dead_letters[1:]
    write_log(kafka, topic_prefix, lines)
    result = on_broker("audit")
    assert result.exit_code == 1
    name = f"{topic_prefix}clicks-0"
    assert f"problem: {name}-1: predicted by its receipt, but no prediction" in result.stdout
    assert f"problem: {name}-4: dead-lettered, but there is no dead letter" in result.stdout
    assert result.stdout.splitlines()[-1].endswith(" problems=3")  # and a gap in user_seq


def test_in_flight_fails_only_with_settle(on_broker, kafka, topic_prefix):
    lines = Lines()
    more = Lines([*EVENTS, (CLICKS, 0, 11, "ann", "a5", "predicted")])
    lines.inputs = more.inputs
    write_log(kafka, topic_prefix, lines)
    result = on_broker("audit", "--since", "1h")
    assert result.stdout.splitlines()[-1].endswith(" in_flight=1 problems=0")
    assert result.exit_code == 0
    assert on_broker("audit", "--settle", "0").exit_code == 1


def test_missing_topics_are_one_line(on_broker, topic_prefix):
    result = on_broker("audit")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert f"no topic {topic_prefix}intake-receipts" in result.stderr
