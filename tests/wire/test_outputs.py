"""Alerts, receipts and dead letters."""

import hashlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.layout import AlertState, Level, Outcome, Reason, Resolve
from stream.core.results import ALERT, ROW
from stream.wire import outputs
from stream.wire.outputs import (
    RECEIPT_EXCEPTIONS_MAX,
    alert_id,
    dead_letter,
    duration_text,
    encode_alerts,
    encode_receipts,
    episode_id,
)
from stream.wire.types import ChurnAlert, IntakeReceipt

TOPICS = ("t.clicks", "t.searches", "t.purchases")


def alert_row(**fields):
    rows = np.zeros(1, ALERT)
    rows["silence_start_ms"], rows["fired_ms"], rows["at_ms"] = 1000, 5000, 9000
    rows["churn"], rows["silence_ms"], rows["sequence"] = 0.75, 4500, 3
    rows["state"], rows["level"] = AlertState.FIRING, Level.AT_RISK
    for name, value in fields.items():
        rows[name] = value
    return rows


def test_a_firing_alert():
    (message,) = encode_alerts(alert_row(by_sweep=1, user_epoch=8), ["zoë".encode()], "m", "P7D")
    assert message.key == "zoë".encode()
    episode = episode_id("zoë".encode(), 1000)
    assert msgspec.json.decode(message.value, type=ChurnAlert) == ChurnAlert(
        alert_id=alert_id(episode, Level.AT_RISK),
        episode_id=episode,
        user_id="zoë",
        user_epoch=8,
        state="firing",
        previous_state="normal",
        level="at_risk",
        churn_probability=0.75,
        horizon="P7D",
        starts_at=1000,
        fired_at=5000,
        ends_at=None,
        reason=None,
        trigger="clock",
        silence_seconds=4.5,
        model_version="m",
        sequence_no=3,
    )


@pytest.mark.parametrize("reason", [reason for reason in Resolve if reason])
def test_a_resolved_alert_names_its_reason(reason):
    rows = alert_row(
        state=AlertState.RESOLVED, previous_state=AlertState.FIRING, reason=reason, churn=-1
    )
    (message,) = encode_alerts(rows, [b"ann"], "m", "P7D")
    alert = msgspec.json.decode(message.value, type=ChurnAlert)
    assert (alert.reason, alert.ends_at) == (reason.name.lower(), 9000)
    assert (alert.churn_probability, alert.trigger) == (None, "event")


def test_a_churned_alert_ends():
    rows = alert_row(state=AlertState.CHURNED, previous_state=AlertState.FIRING)
    (message,) = encode_alerts(rows, [b"ann"], "m", "P7D")
    alert = msgspec.json.decode(message.value, type=ChurnAlert)
    assert (alert.state, alert.ends_at, alert.reason) == ("churned", 9000, None)


def test_ids_follow_from_user_silence_and_level():
    assert episode_id(b"ann", 1) == episode_id(b"ann", 1)
    names = {episode_id(user, start) for user in (b"ann", b"bob", b"") for start in (-1, 0, 1)}
    assert len(names) == 9
    assert len({alert_id(name, level) for name in names for level in (1, 2)}) == 18
    assert episode_id(b"ann", 1) != episode_id(b"\0ann", 1)


def outcome_rows(outcomes, topic=0, offsets=None):
    rows = np.zeros(len(outcomes), ROW)
    rows["offset"] = np.arange(len(outcomes)) if offsets is None else offsets
    rows["topic"], rows["outcome"], rows["source_first"] = topic, outcomes, -1
    return rows


def test_a_receipt():
    rows = outcome_rows([0, 1, 2, 3, 4, 5, 0, 1], 1, [10, 12, 13, 14, 15, 16, 18, 19])
    rows["source_first"][1] = 12 * 4 + 1
    rows["source_first"][7] = 3 * 4 + 2
    rows["partition_seq"] = np.arange(100, 108)
    (message,) = encode_receipts(TOPICS, 1, 3, 10, 25, rows)
    assert message.key == b"t.searches-3"
    assert msgspec.json.decode(message.value, type=IntakeReceipt) == IntakeReceipt(
        "t.searches", 3, 10, 25, 2,
        [
            [12, "duplicate", 12], [13, "dead_lettered"], [14, "control"], [15, "forgotten"],
            [16, "coalesced"], [19, "duplicate", 3, "t.purchases"],
        ],
        [101, 102, 103, 104, 105, 107],
    )  # fmt: skip


def test_a_receipt_of_no_rows():
    (message,) = encode_receipts(TOPICS, 0, 0, 5, 9, outcome_rows([]))
    assert msgspec.json.decode(message.value)["exceptions"] == []


@pytest.mark.parametrize(
    ("rows", "first", "after"),
    [
        (outcome_rows([0], offsets=[4]), 5, 9),
        (outcome_rows([0], offsets=[9]), 5, 9),
        (outcome_rows([0, 0], offsets=[6, 6]), 5, 9),
        (outcome_rows([0, 0, 0], offsets=[5, 7, 6]), 5, 9),
        (outcome_rows([0], 1, offsets=[6]), 5, 9),
    ],
)
def test_rows_that_do_not_belong_stop(rows, first, after):
    with pytest.raises(ValueError, match=r"receipt of t.clicks\[0\] 5 to 8"):
        encode_receipts(TOPICS, 0, 0, first, after, rows)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_receipt_is_cut_at_its_limit(extra):
    count = RECEIPT_EXCEPTIONS_MAX + extra
    messages = encode_receipts(TOPICS, 0, 0, 0, count, outcome_rows([Outcome.FORGOTTEN] * count))
    assert len(messages) == (2 if extra == 1 else 1)


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(0, 3), st.integers(1, 4))
def test_cut_receipts_tile_and_count(outcomes, hole, limit):
    offsets = [5 + n * (hole + 1) for n in range(len(outcomes))]
    after = (offsets[-1] if offsets else 5) + 1 + hole
    rows = outcome_rows(outcomes, 2, offsets)
    rows["source_first"][rows["outcome"] == Outcome.DUPLICATE] = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs, "RECEIPT_EXCEPTIONS_MAX", limit)
        messages = encode_receipts(TOPICS, 2, 0, 5, after, rows)
    receipts = [msgspec.json.decode(message.value, type=IntakeReceipt) for message in messages]
    assert [receipt.offset_first for receipt in receipts] == [
        5, *(receipt.offset_next for receipt in receipts[:-1]),
    ]  # fmt: skip
    assert receipts[-1].offset_next == after
    assert sum(receipt.predicted for receipt in receipts) == outcomes.count(0)
    assert all(len(receipt.exceptions) <= limit for receipt in receipts)
    for receipt in receipts:
        inside = [
            [offset, Outcome(outcome).name.lower()]
            for offset, outcome in zip(offsets, outcomes, strict=True)
            if receipt.offset_first <= offset < receipt.offset_next
        ]
        assert receipt.predicted == sum(name == "predicted" for _, name in inside)
        assert [entry[:2] for entry in receipt.exceptions] == [
            entry for entry in inside if entry[1] != "predicted"
        ]
        assert len(receipt.exception_seqs) == len(receipt.exceptions)


def test_the_longest_receipt_fits_a_record():
    """Topic names of 249 characters, offsets of 19 digits: still below Kafka's 1 MiB."""
    names = [name.ljust(249, "x") for name in TOPICS]
    rows = outcome_rows([Outcome.DUPLICATE] * RECEIPT_EXCEPTIONS_MAX)
    rows["offset"] += 2**60
    rows["partition_seq"] = 2**60
    rows["source_first"] = 2**60 * 4 + 2
    (message,) = encode_receipts(names, 0, 0, 0, 2**61, rows)
    assert len(message.value) + len(message.key) < 1_000_000


@pytest.mark.parametrize("size", [0, 9, 10, 11])
def test_a_dead_letter_is_cut_at_its_limit(size):
    value = b"v" * size
    letter = dead_letter("t.clicks", 3, 17, Reason.BAD_VALUE, "price", b"k", value, 10)
    assert (letter.key, letter.value) == (b"k", value[:10])
    assert dict(letter.headers) == {
        "reason": b"bad_value",
        "message": b"price",
        "topic": b"t.clicks",
        "partition": b"3",
        "offset": b"17",
        "length": str(size).encode(),
        "sha256": hashlib.sha256(value).hexdigest().encode(),
        "truncated": b"true" if size > 10 else b"false",
    }


def test_a_dead_letter_without_key_and_value():
    letter = dead_letter("t.clicks", 0, 0, Reason.UNDECODABLE, "no value", None, None, 10)
    assert (letter.key, letter.value, dict(letter.headers)["length"]) == (None, None, b"0")


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_message(reason):
    assert dict(dead_letter("t", 0, 0, reason, "", None, b"", 1).headers)["message"]


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (7 * 86_400_000, "P7D"), (86_400_000, "P1D"), (43_200_000, "PT12H"), (5_400_000, "PT90M"),
        (1500, "PT1.5S"), (0, "PT0S"),
    ],
)  # fmt: skip
def test_durations(duration_ms, text):
    assert duration_text(duration_ms) == text
