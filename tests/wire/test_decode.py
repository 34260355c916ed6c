"""Chunks to arrays: any bytes in; both twins agree; nothing is mixed up."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.layout import EVENT, NEVER_MS, STEP, Flag, Reason
from stream.wire.decode import Decoder
from stream.wire.event import Refused, read_event
from stream.wire.hashing import Memories, id_hash
from stream.wire.murmur2 import partition_of
from stream.wire.records import columns_of
from tests.wire import strategies
from tests.wire.samples import (
    FORGET,
    GOOD,
    LIMITS,
    PARTITION,
    PARTITIONS,
    PURCHASE,
    TIME_MS,
    changed,
    decode,
    packed,
)


def slowly(topic, partition, offsets, timestamps_ms, keys, values):
    """Decode with the slow twin alone, row by row: events, steps, users and messages as lists."""
    events, steps, users, messages = [], [], [], {}
    for row, (offset, stamp) in enumerate(zip(offsets, timestamps_ms, strict=True)):
        first = len(steps)
        try:
            event = read_event(topic, partition, keys[row], values[row], LIMITS, Memories())
        except Refused as refused:
            messages[row] = str(refused)
            head = (offset, stamp, NEVER_MS, 0, first, 0, -1, 0, 0, 0)
            events.append((*head, topic, topic, int(refused.reason), 0))
            continue
        if keys[row] not in users:
            users.append(keys[row])
        for item, cents, category, tokens, quantity, action in event.steps:
            source = offset * 4 + topic
            steps.append((
                event.event_id, item, event.time_ms, source, cents, category, tokens, quantity,
                topic, action,
            ))  # fmt: skip
        events.append((
            offset, stamp, event.time_ms, event.event_id, first, len(event.steps),
            users.index(keys[row]), event.channel, event.device, event.region, topic, topic, 0,
            event.flags,
        ))  # fmt: skip
    return np.array(events, EVENT), np.array(steps, STEP), users, messages


@settings(max_examples=150, deadline=None)
@given(
    topic=st.integers(0, 2),
    partition=st.sampled_from([PARTITION, PARTITION, 0]),
    records=st.lists(strategies.records, max_size=12),
)
def test_any_bytes_and_both_twins(topic, partition, records):
    keys, values = [key for key, _ in records], [value for _, value in records]
    offsets = [100 + 3 * n for n in range(len(records))]
    stamps = [TIME_MS + n for n in range(len(records))]
    decoder = Decoder(PARTITIONS, LIMITS.event_bytes_max, LIMITS.skew_ms_max)
    got = decoder.decode(topic, partition, 90, 200, columns_of(offsets, stamps, keys, values))
    events, steps, users, messages = slowly(topic, partition, offsets, stamps, keys, values)
    assert got.events["offset"].tolist() == offsets
    assert got.events.tolist() == events.tolist()
    assert got.steps.tobytes() == steps.tobytes(), (got.steps, steps)
    assert got.users == users
    assert got.messages == messages
    assert (got.offset_first, got.offset_next) == (90, 200)
    assert (list(got.records.keys()), list(got.records.values())) == (keys, values)
    assert set(got.messages) == set(np.flatnonzero(got.events["reason"]).tolist())


@settings(max_examples=120, deadline=None)
@given(topic=st.integers(0, 2), chosen=st.lists(strategies.events(), min_size=1, max_size=8))
def test_both_twins_on_events_with_the_right_keys(topic, chosen):
    """Keys and partition are right here, so that most rows reach the columns."""
    chosen = [event for event in chosen if isinstance(event.get("user_id"), str)]
    values = [json.dumps(event).encode() for event in chosen]
    keys = [event["user_id"].encode("utf-8", "replace") for event in chosen]
    offsets, stamps = list(range(len(keys))), [TIME_MS] * len(keys)
    decoder = Decoder(1, LIMITS.event_bytes_max)
    got = decoder.decode(topic, 0, 0, len(keys), columns_of(offsets, stamps, keys, values))
    for row, (key, value) in enumerate(zip(keys, values, strict=True)):
        one = columns_of([row], [TIME_MS], [key], [value])
        alone = decoder.decode(topic, 0, row, row + 1, one)
        event = got.events[row].copy()
        event["step_first"], event["user"] = 0, min(event["user"], 0)
        assert event.tolist() == alone.events[0].tolist()
        first = got.events["step_first"][row]
        mine = got.steps[first : first + event["steps_count"]]
        assert mine.tobytes() == alone.steps.tobytes()


def test_users_are_numbered_in_order_without_the_dead():
    decoder = Decoder(1)
    keys = [b"bob", b"ann", b"eve", b"bob", None]
    values = [packed(changed(user_id=(key or b"x").decode(), event_id="e")) for key in keys]
    values[2] = b"{"
    got = decoder.decode(0, 0, 0, 5, columns_of(range(5), [TIME_MS] * 5, keys, values))
    assert got.users == [b"bob", b"ann"]
    assert got.events["user"].tolist() == [0, 1, -1, 0, -1]


def test_steps_stand_in_the_order_of_their_events():
    many = changed(2, items=[{"item_id": f"i-{n}"} for n in range(70)])
    values = [packed(PURCHASE), b"x", packed(many), packed(FORGET), packed(PURCHASE)]
    got = decode(2, values, offset_first=7)
    assert got.events["steps_count"].tolist() == [2, 0, 64, 0, 2]
    assert got.events["step_first"].tolist() == [0, 2, 2, 66, 66]
    assert got.events["flags"].tolist() == [0, 0, 0, Flag.CONTROL_FORGET, 0]
    assert got.steps["source"].tolist() == [7 * 4 + 2] * 2 + [9 * 4 + 2] * 64 + [11 * 4 + 2] * 2
    assert got.steps["item"][65] == id_hash("i-63")
    assert got.steps["item"][66] == id_hash("i-1")


def test_an_empty_chunk_and_one_of_dead_letters():
    got = decode(0, [])
    assert (len(got.events), len(got.steps), got.users) == (0, 0, [])
    got = decode(0, [b"", None], offset_first=3)
    assert got.events["reason"].tolist() == [Reason.UNDECODABLE] * 2
    assert got.events["time_ms"].tolist() == [NEVER_MS] * 2
    assert sorted(got.messages) == [0, 1]


def test_contradicting_calls_are_our_mistake():
    decoder = Decoder(1)
    with pytest.raises(ValueError, match="topic 3"):
        decoder.decode(3, 0, 0, 0, columns_of([], [], [], []))
    with pytest.raises(ValueError, match="2 offsets, 1 timestamps"):
        decoder.decode(0, 0, 0, 2, columns_of([0, 1], [0], [b"", b""], [b"", b""]))
    with pytest.raises(ValueError, match="offsets 4 to 4"):
        decoder.decode(0, 0, 5, 6, columns_of([4], [0], [b""], [b""]))
    with pytest.raises(ValueError, match="offsets 6 to 6"):
        decoder.decode(0, 0, 5, 6, columns_of([6], [0], [b""], [b""]))


BAD = {
    "garbage": (Reason.UNDECODABLE, lambda v, k: (k, b"\x00\xffgarbage")),
    "truncated": (Reason.UNDECODABLE, lambda v, k: (k, v[: len(v) // 2])),
    "wrong type": (Reason.SCHEMA_INVALID, lambda v, k: (k, v.replace(b'"i-1"', b"17"))),
    "two megabytes": (Reason.TOO_LARGE, lambda v, k: (k, v[:-1] + b" " * (2 << 20) + b"}")),
    "null key": (Reason.KEY_MISSING, lambda v, k: (None, v)),
    "foreign key": (Reason.KEY_MISMATCH, lambda v, k: (k + b"!", v)),
    "wrong partition": (Reason.WRONG_PARTITION, None),
    "unknown type": (Reason.UNKNOWN_TYPE, lambda v, k: (k, v.replace(b"product_viewed", b"spy"))),
    "negative price": (Reason.BAD_VALUE, lambda v, k: (k, v.replace(b"12.99", b"-5"))),
    "bot": (Reason.BOT, lambda v, k: (k, v[:-1] + b', "is_bot": true}')),
}


def test_two_hundred_bad_records_among_good_ones():
    rng = random.Random(5)
    users = [f"user-{n}" for n in range(400)]
    homes = {user: partition_of(user.encode(), PARTITIONS) for user in users}
    mine = [user for user in users if homes[user] == 2]
    others = [user for user in users if homes[user] != 2]
    kinds = [*BAD] * 20 + [""] * 1000
    rng.shuffle(kinds)
    keys, values, wanted = [], [], []
    for n, kind in enumerate(kinds):
        user = rng.choice(others if kind == "wrong partition" else mine)
        value, key = packed(changed(user_id=user, event_id=f"e-{n}")), user.encode()
        reason, spoil = BAD.get(kind, (Reason.NONE, None))
        key, value = spoil(value, key) if spoil else (key, value)
        keys.append(key)
        values.append(value)
        wanted.append(reason)
    got = decode(0, values, keys, partition=2, decoder=Decoder(PARTITIONS))
    assert got.events["reason"].tolist() == wanted
    good = got.events["reason"] == 0
    assert good.sum() == len(got.steps) == 1000
    ids = [id_hash(f"e-{n}") for n in np.flatnonzero(good)]
    assert got.events["event_id"][good].tolist() == ids
    assert got.steps["event_id"].tolist() == ids
    assert [got.users[n] for n in got.events["user"][good]] == [
        key for key, reason in zip(keys, wanted, strict=True) if reason == Reason.NONE
    ]


@pytest.mark.parametrize("topic", [0, 1, 2])
def test_the_memories_change_nothing(topic, monkeypatch):
    """A memory that is emptied at every turn gives the same arrays."""
    values = [
        packed(
            changed(topic, event_id=f"e-{n}", category=f"c{n % 7}", query=f"w{n} a", channel="w")
        )
        for n in range(50)
    ]
    wanted = decode(topic, values)
    monkeypatch.setattr("stream.wire.hashing.HASHES_MAX", 3)
    got = decode(topic, values + values)
    assert got.events["reason"].tolist() == [0] * 100
    for half in (slice(0, 50), slice(50, 100)):
        assert got.events["channel"][half].tolist() == wanted.events["channel"].tolist()
    steps = len(wanted.steps)
    for name in ("item", "category", "tokens"):
        assert got.steps[name][:steps].tolist() == wanted.steps[name].tolist()
        assert got.steps[name][steps:].tolist() == wanted.steps[name].tolist()


def test_good_events_take_the_fast_way(monkeypatch):
    """What is usual must not fall to the slow twin, whose cost is five times as high."""

    def slow(*_):
        raise AssertionError("read slowly")

    monkeypatch.setattr("stream.wire.decode.read_event", slow)
    for topic, event in enumerate(GOOD):
        assert len(decode(topic, [packed(event)]).steps)
    iso = ("2025-10-09T08:53:20Z", "2025-10-09T08:53:20.123+02:00", "2025-10-09 08:53:20")
    assert len(decode(0, [packed(changed(event_time=time)) for time in iso]).steps) == 3
    skewed = changed(sent_at="2025-10-09T08:53:20Z", received_at=TIME_MS + 5)
    assert decode(0, [packed(skewed)]).events["flags"].tolist() == [Flag.SKEW_CORRECTED]
    renamed = changed(item_id=..., product_id="p", price="3.50", event_type="product_added")
    assert decode(0, [packed(renamed)]).steps["price_cents"].tolist() == [350]
    stranger = packed(changed(user_id=None, anonymous_id="x"))
    home = partition_of(b"anon:x", PARTITIONS)
    assert decode(0, [stranger], [b"anon:x"], partition=home).users == [b"anon:x"]
