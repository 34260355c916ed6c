"""Good events, and short ways to read one record: what the tests of the wire start from."""

import json
from typing import Any

from stream.core.layout import Reason
from stream.wire.decode import Decoded, Decoder
from stream.wire.event import Accepted, Refused, read_event
from stream.wire.hashing import Memories
from stream.wire.limits import Limits
from stream.wire.murmur2 import partition_of
from stream.wire.records import columns_of

PARTITIONS = 4
TIME_MS = 1_760_000_000_000
USER = "ann"
PARTITION = partition_of(USER.encode(), PARTITIONS)
LIMITS = Limits(PARTITIONS, event_bytes_max=10_000)

CLICK = {
    "event_id": "e-1",
    "event_type": "product_viewed",
    "event_time": TIME_MS,
    "user_id": USER,
    "channel": "web",
    "device": "phone",
    "region": "DE",
    "item_id": "i-1",
    "category": "shoes",
    "price": 12.99,
    "session_id": "s",
    "schema_version": 1,
}
SEARCH = {
    "event_id": "e-2",
    "event_type": "search",
    "event_time": TIME_MS,
    "user_id": USER,
    "query": "Red SHOES, red size-42 for him",
}
PURCHASE = {
    "event_id": "e-3",
    "event_type": "order_completed",
    "event_time": TIME_MS,
    "user_id": USER,
    "order_id": "o-1",
    "items": [
        {"item_id": "i-1", "quantity": 2, "price": "12.50"},
        {"product_id": "i-2", "category": "hats"},
    ],
    "total": 25,
    "currency": "EUR",
}
FORGET = {"event_id": "e-4", "event_type": "user_forget", "event_time": TIME_MS, "user_id": USER}
GOOD = (CLICK, SEARCH, PURCHASE)  # by topic


def packed(event: Any) -> bytes:
    return json.dumps(event).encode()


def changed(topic: int = 0, **fields: Any) -> dict[str, Any]:
    """Copy a good event with other fields; `...` takes one away."""
    event = {**GOOD[topic], **fields}
    return {name: value for name, value in event.items() if value is not ...}


def key_of(event: dict[str, Any]) -> bytes:
    user = event.get("user_id")
    return (user or "anon:" + event["anonymous_id"]).encode()


def read(event, topic=0, key=..., partition=..., limits=LIMITS) -> Accepted:
    """Read one record alone, with the key and partition of its user unless told.

    Both twins read it and must agree, so each example and each boundary holds for both.
    """
    value = event if isinstance(event, bytes | None) else packed(event)
    if key is ...:
        key = USER.encode() if isinstance(event, bytes | None) else key_of(event)
    if partition is ...:
        partition = partition_of(key or b"", PARTITIONS)
    decoder = Decoder(limits.partitions_count, limits.event_bytes_max, limits.skew_ms_max)
    got = decoder.decode(topic, partition, 0, 1, columns_of([0], [TIME_MS], [key], [value]))
    try:
        alone = read_event(topic, partition, key, value, limits, Memories())
    except Refused as refused:
        _check_dead(got, refused)
        raise
    assert accepted_of(got) == alone
    return alone


def _check_dead(decoded: Decoded, refused: Refused) -> None:
    assert decoded.events["reason"].tolist() == [refused.reason]
    assert decoded.messages == {0: str(refused)}


def accepted_of(decoded: Decoded) -> Accepted:
    """Take the one event of a chunk back out of the arrays."""
    row = decoded.events[0]
    assert row["reason"] == Reason.NONE
    names = ("event_id", "time_ms", "flags", "channel", "device", "region")
    steps = [
        (
            int(step["item"]), int(step["price_cents"]), int(step["category"]),
            tuple(step["tokens"].tolist()), int(step["quantity"]), int(step["action"]),
        )
        for step in decoded.steps
    ]  # fmt: skip
    return Accepted(*(int(row[name]) for name in names), steps)


def reason_of(event, topic=0, **where) -> Reason:
    try:
        read(event, topic, **where)
    except Refused as refused:
        reason, message = refused.reason, str(refused)
    else:
        return Reason.NONE
    assert 0 < len(message) <= 200
    return reason


def decode(topic, values, keys=None, partition=PARTITION, offset_first=0, decoder=None):
    """Decode a chunk without holes; keys are the standard user's unless told."""
    count = len(values)
    decoder = decoder or Decoder(PARTITIONS, LIMITS.event_bytes_max, LIMITS.skew_ms_max)
    return decoder.decode(
        topic,
        partition,
        offset_first,
        offset_first + count,
        columns_of(
            range(offset_first, offset_first + count),
            [TIME_MS] * count,
            [USER.encode()] * count if keys is None else keys,
            values,
        ),
    )
