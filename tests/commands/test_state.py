"""`forecart state`: from hand-made rows of the changelog to words."""

import json

import msgspec
import numpy as np
import pytest

from stream.core.layout import (
    ALWAYS_LATER_MS,
    LAYOUT_VERSION,
    NEVER_MS,
    STEP,
    USER,
    AlertState,
    Level,
    source_of,
)
from stream.wire.murmur2 import partition_of
from stream.wire.state import HEADER_KEY, Header
from tests.kafka_tools import produce

pytestmark = pytest.mark.kafka

TIME_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


def header():
    return Header(
        layout_version=LAYOUT_VERSION,
        window_steps=32,
        partitions=2,
        offset_next={},
        partition_seq=90,
        watermark_ms=TIME_MS + 2 * HOUR_MS,
        shop_ms=10 * HOUR_MS,
        bucket=0,
        bucket_ms=HOUR_MS,
        witness_epoch=[],
        witness_ms=[],
        jumps_held=0,
        users_count=1,
        outcomes={},
    )


def user_row(steps_count=2):
    user = np.zeros(1, USER)
    user["epoch"] = 7
    user["steps_count"] = 40
    user["user_seq"] = 38
    user["seq_last"] = 80
    user["time_last_ms"] = TIME_MS
    user["shop_last_ms"] = 8 * HOUR_MS
    user["type_time_ms"] = (TIME_MS, NEVER_MS, TIME_MS - HOUR_MS)
    newest = (TIME_MS // 600_000, TIME_MS // 14_400_000, TIME_MS // 86_400_000)
    user["counter_bucket"] = newest
    user["counters"][0, newest[0] % 6] = 3  # clicks of the newest ten minutes
    user["counters"][0, (newest[0] - 5) % 6] = 1  # and of the oldest that are held
    user["counters"][0, 6 + newest[1] % 6] = 5
    user["next_event"] = (0.5, 0.25, 0.25)
    user["purchase"] = 0.125
    user["churn"] = -1
    user["next_check_ms"] = 13 * HOUR_MS
    user["silence_start_ms"] = TIME_MS
    user["fired_ms"] = TIME_MS + HOUR_MS
    user["alert_sequence"] = 1
    user["alert_state"] = AlertState.FIRING
    user["alert_level"] = Level.HIGH_RISK
    user["ring_len"] = steps_count
    steps = np.zeros(steps_count, STEP)
    steps["time_ms"] = TIME_MS - np.arange(steps_count)[::-1] * 1000
    steps["item"] = np.arange(1, steps_count + 1)
    steps["price_cents"] = 1999
    steps["quantity"] = 1
    steps["source"] = source_of(0, 55)
    steps[:1]["item"] = 0
    steps[:1]["price_cents"] = -1
    steps[:1]["event_type"] = 1
    steps[:1]["action"] = 4
    steps[:1]["tokens"] = (0xAB, 0, 0, 0)
    return bytes([LAYOUT_VERSION]) + user.tobytes() + steps.tobytes()


@pytest.fixture
def changelog(kafka, make_topics):
    """Write (key, value) rows to the partitions of their users, each with a header before."""
    topic = make_topics(["user-state"], 2)["user-state"]

    def write(*rows):
        for key, value in rows:
            number = partition_of(key, 2)
            before = (HEADER_KEY, msgspec.json.encode(header()))
            produce(kafka, topic, [before, (key, value)], partition=number)

    return write


def test_state_for_programs(on_broker, changelog):
    changelog((b"ann", user_row(32)), (b"ann", user_row()), (b"bob", user_row(3)))
    result = on_broker("state", "ann", "--json")
    assert result.exit_code == 0
    note = json.loads(result.stdout)
    assert note["user_id"] == "ann"
    assert note["partition"] == partition_of(b"ann", 2)
    assert note["epoch"] == 7
    assert note["predictions"] == 38
    assert note["steps_accepted"] == 40
    assert note["last_event_at"] == TIME_MS
    assert note["last_event_at_by_type"] == {
        "click": TIME_MS,
        "search": None,
        "purchase": TIME_MS - HOUR_MS,
    }
    assert note["silence_seconds"] == 7200
    assert note["counters"]["sliding"]["click"] == {"1h": 4, "24h": 5, "7d": 0}
    assert note["scores"] == {
        "next_event": {"click": 0.5, "search": 0.25, "purchase": 0.25},
        "purchase": 0.125,
        "churn": None,
    }
    assert note["alert"]["state"] == "firing"
    assert note["alert"]["level"] == "high_risk"
    assert note["alert"]["next_check_in_seconds"] == 10_800
    search, click = note["window"]
    assert search["type"] == "search"
    assert search["item"] is None
    assert search["price_cents"] is None
    assert search["tokens"] == ["00ab"]
    assert click == {
        "time": TIME_MS,
        "type": "click",
        "action": "view",
        "item": "0000000000000002",
        "category": None,
        "price_cents": 1999,
        "quantity": 1,
        "tokens": [],
        "event_id": "0000000000000000",
        "source": "clicks 55",
    }


def test_state_for_people(on_broker, changelog):
    changelog((b"ann", user_row()))
    text = on_broker("state", "ann").stdout
    assert "38 predictions, 40 steps accepted, 0 late events" in text
    assert "last event 2023-11-14 22:13:20" in text
    assert "click      4    5   0" in text
    assert "next event: click 0.500, search 0.250, purchase 0.250" in text
    assert "purchase: 0.125, churn: -" in text
    assert "alert: firing (high_risk), silent since 2023-11-14 22:13:20" in text
    assert "silent for 2 h of shop time; next check in 3 h" in text
    assert "window: 2 steps, oldest first" in text
    assert "2023-11-14 22:13:20  click   view    0000000000000002  19.99" in text


def test_calm_user_has_no_check(on_broker, changelog):
    row = np.frombuffer(user_row(0), USER, 1, 1).copy()
    row["next_check_ms"] = ALWAYS_LATER_MS
    row["alert_state"] = row["alert_level"] = row["alert_sequence"] = 0
    changelog((b"ann", bytes([LAYOUT_VERSION]) + row.tobytes()))
    text = on_broker("state", "ann").stdout
    assert "alert: normal, none so far" in text
    assert "next check none" in text


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "it was never seen"),
        ([(b"bob", b"")], "it was never seen"),
        ([(b"ann", user_row()), (b"ann", None)], "it was erased, has expired or was evicted"),
    ],
)
def test_no_state_is_one_clear_line(on_broker, changelog, rows, why, topic_prefix):
    changelog(*rows)
    result = on_broker("state", "ann")
    assert result.exit_code == 1
    place = f"{topic_prefix}user-state-{partition_of(b'ann', 2)}"
    assert result.stderr == f"Error: no state of user 'ann' in {place}: {why}\n"


@pytest.mark.parametrize("value", [b"", b"\x63" + user_row()[1:], user_row()[:-1]])
def test_row_that_cannot_be_read_is_one_line(on_broker, changelog, value):
    changelog((b"ann", value))
    result = on_broker("state", "ann")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "user-state-" in result.stderr
