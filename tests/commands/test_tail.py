"""`forecart tail`: lines for people, raw lines for programs, and where it stops."""

import json

import pytest

from tests.kafka_tools import produce

pytestmark = pytest.mark.kafka

PREDICTION = {
    "user_id": "ann",
    "as_of": 1_700_000_000_000,
    "items": [{"item_id": f"i{rank}", "rank": rank} for rank in range(1, 6)],
    "next_event": {"click": 0.25, "search": 0.125, "purchase": 0.625},
    "purchase_probability": 0.5,
    "purchase_horizon": "P7D",
    "churn_probability": None,
    "late": False,
}
ALERT = {
    "alert_id": "a7",
    "user_id": "ann",
    "previous_state": "firing",
    "state": "resolved",
    "reason": "returned",
    "level": "at_risk",
    "churn_probability": 0.25,
    "starts_at": 1_700_000_000_000,
    "silence_seconds": 5400,
}


@pytest.fixture
def predictions(kafka, make_topics):
    topic = make_topics(["predictions"], 1)["predictions"]
    notes = [{**PREDICTION, "user_id": user, "n": n} for n, user in enumerate("abab")]
    rows = [(note["user_id"].encode(), json.dumps(note).encode()) for note in notes]
    produce(kafka, topic, rows)
    return [json.dumps(note) for note in notes]


def test_raw_lines_from_the_beginning(on_broker, predictions):
    result = on_broker("tail", "predictions", "--from-beginning", "--json", "--count", "3")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == predictions[:3]


def test_no_follow_stops_at_the_end(on_broker, predictions):
    result = on_broker("tail", "predictions", "--from-beginning", "--no-follow", "--json")
    assert result.stdout.splitlines() == predictions
    assert on_broker("tail", "predictions", "--no-follow").stdout == ""


def test_one_user(on_broker, predictions):
    result = on_broker(
        "tail", "predictions", "--from-beginning", "--json", "--user", "b", "--count", "2"
    )
    assert result.stdout.splitlines() == predictions[1::2]


def test_lines_for_people(on_broker, kafka, make_topics):
    names = make_topics(["predictions", "churn-alerts"], 1)
    nasty = {**PREDICTION, "user_id": "a\x1b[2J", "late": True, "churn_probability": 0.75}
    for note in (PREDICTION, nasty):
        produce(kafka, names["predictions"], [(b"ann", json.dumps(note).encode())])
    result = on_broker("tail", "predictions", "--from-beginning", "--no-follow")
    assert result.stdout.splitlines() == [
        "2023-11-14 22:13:20  ann  next purchase 0.62  buys 0.50 (P7D)  churn -  items i1, i2, i3",
        (
            "2023-11-14 22:13:20  a\\x1b[2J  next purchase 0.62  buys 0.50 (P7D)  churn 0.75"
            "  items i1, i2, i3 late"
        ),
    ]
    produce(kafka, names["churn-alerts"], [(b"ann", json.dumps(ALERT).encode()), (b"ann", None)])
    result = on_broker("tail", "alerts", "--from-beginning", "--no-follow")
    assert result.stdout.splitlines() == [
        (
            "2023-11-14 22:13:20  ann  firing -> resolved (returned)  at_risk  churn 0.25"
            "  silent 1.5 h  alert a7"
        ),
        f"{names['churn-alerts']}-0-1: erased",
    ]
