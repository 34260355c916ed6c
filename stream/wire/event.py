"""One record to one event, or to the reason why not: every rule of the contract, in order.

Rules of the room: `read_event` decides; stream.wire.plain_events is its fast twin for records in
which nothing is unusual. Any bytes in, never an exception but Refused.
The first rule that fails gives the reason: size, nesting, JSON, type, schema, values, bot, key,
partition. The last of duplicate JSON keys counts. Fields that are not read are skipped, and so not
checked beyond JSON's grammar and nesting.
"""

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from stream.core.layout import (
    PURCHASE_STEPS_MAX,
    TOKENS_MAX,
    TOPICS,
    Flag,
    Reason,
    action_of,
)
from stream.wire.hashing import REFUSED, Memories, id_hash, query_words
from stream.wire.limits import (
    ANONYMOUS_PREFIX,
    ID_BYTES_MAX,
    KEY_BYTES_MAX,
    NESTING_MAX,
    QUANTITY_MAX,
    QUERY_BYTES_MAX,
    TIME_MS_MAX,
    TIME_MS_MIN,
    Limits,
    fits,
)
from stream.wire.money import REFUSED_CENTS, price_cents
from stream.wire.murmur2 import partition_of
from stream.wire.nesting import nesting
from stream.wire.times import time_ms
from stream.wire.types import (
    CLICK_NAMES,
    FORGET_NAME,
    PURCHASE_NAMES,
    SEARCH_NAMES,
    Click,
    Envelope,
    Purchase,
    PurchaseItem,
    Search,
    UserForget,
)

MESSAGE_CHARS_MAX: Final = 200
NO_TOKENS: Final[tuple[int, ...]] = (0,) * TOKENS_MAX
DEFAULT_ACTION: Final = {
    "click": action_of["click"],
    "product_clicked": action_of["click"],
    "product_viewed": action_of["view"],
    "product_added": action_of["cart"],
}

_TYPE_OF_TOPIC: Final[tuple[type[Envelope], ...]] = (Click, Search, Purchase)
_TOPIC_OF_NAME: Final = {
    **dict.fromkeys(CLICK_NAMES, 0),
    **dict.fromkeys(SEARCH_NAMES, 1),
    **dict.fromkeys(PURCHASE_NAMES, 2),
}
STRUCT_DECODERS: Final = tuple(msgspec.json.Decoder(kind) for kind in _TYPE_OF_TOPIC)
_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_FORGET: Final = msgspec.json.Decoder(UserForget)
_SYNTAX: Final = msgspec.json.Decoder(msgspec.Raw)
_OUT_OF_RANGE: Final = ("Number out of range", "Integer value out of range")

# Step as in STEP, without event_id, time_ms, source and event_type:
# item, price_cents, category, tokens, quantity, action.
Step = tuple[int, int, int, tuple[int, ...], int, int]


class Accepted(NamedTuple):
    """A good event, or a control event (no steps)."""

    event_id: int
    time_ms: int
    flags: int
    channel: int
    device: int
    region: int
    steps: list[Step]


class Refused(Exception):  # noqa: N818  # an outcome, not an error
    """A dead letter: reason and a message for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        text = message.encode("utf-8", "backslashreplace").decode()
        super().__init__(text[:MESSAGE_CHARS_MAX])
        self.reason = reason


def read_event(
    topic: int,
    partition: int,
    key: bytes | None,
    value: bytes | None,
    limits: Limits,
    memories: Memories,
) -> Accepted:
    """Read one record; about 10 us. Raises Refused, and nothing else."""
    event = _parse(topic, value, limits)
    accepted = _values(topic, event, limits, memories)
    user = _checked_user(event)
    if event.is_bot:
        raise Refused(Reason.BOT, "is_bot is true")
    _check_key(user, key, partition, limits)
    return accepted


def _parse(topic: int, value: bytes | None, limits: Limits) -> Envelope:
    if value is None:
        raise Refused(Reason.UNDECODABLE, "the record has no value")
    if len(value) > limits.event_bytes_max:
        raise Refused(
            Reason.TOO_LARGE, f"{len(value)} bytes, at most {limits.event_bytes_max} are read"
        )
    # What msgspec takes depends on the interpreter and on how deep its own stack is.
    brackets = value.count(b"[") + value.count(b"{")
    if brackets > NESTING_MAX and nesting(np.frombuffer(value, np.uint8)) > NESTING_MAX:
        raise Refused(Reason.UNDECODABLE, f"nested deeper than {NESTING_MAX} levels")
    try:
        try:
            event: Envelope = STRUCT_DECODERS[topic].decode(value)
        except msgspec.ValidationError:
            _SYNTAX.decode(value)  # what is no JSON at all is said so
            event = _parse_named(topic, value)
    except msgspec.ValidationError as error:
        text = str(error)
        reason = Reason.BAD_VALUE if text.startswith(_OUT_OF_RANGE) else Reason.SCHEMA_INVALID
        raise Refused(reason, text) from None
    except ValueError as error:  # DecodeError, UnicodeDecodeError: ValueErrors
        raise Refused(Reason.UNDECODABLE, str(error)) from None
    return event


def _parse_named(topic: int, value: bytes) -> Envelope:
    """Look at the type's name first. Raises what msgspec raises, or Refused."""
    name = _ENVELOPE.decode(value).event_type
    if name == FORGET_NAME:
        forget: Envelope = _FORGET.decode(value)
        return forget
    home = _TOPIC_OF_NAME.get(name)
    if home is None:
        raise Refused(Reason.UNKNOWN_TYPE, f"event_type {name[:64]!r} is not known")
    if home != topic:
        raise Refused(
            Reason.SCHEMA_INVALID,
            f"event_type {name!r} belongs on {TOPICS[home]}, not on {TOPICS[topic]}",
        )
    event: Envelope = STRUCT_DECODERS[topic].decode(value)
    return event


def _values(topic: int, event: Envelope, limits: Limits, memories: Memories) -> Accepted:
    _check_id("event_id", event.event_id)
    time, flags = _event_time(event, limits)
    channel = _text_hash("channel", event.channel, memories)
    device = _text_hash("device", event.device, memories)
    region = _text_hash("region", event.region, memories)
    if isinstance(event, UserForget):
        steps, flags = [], flags | Flag.CONTROL_FORGET
    else:
        steps = _READ_STEPS[topic](event, memories)
    return Accepted(id_hash(event.event_id), time, int(flags), channel, device, region, steps)


def _event_time(event: Envelope, limits: Limits) -> tuple[int, int]:
    time = _sane_time(time_ms(event.event_time), event.event_time)
    if event.sent_at is None or event.received_at is None:
        return time, 0
    sent, received = time_ms(event.sent_at), time_ms(event.received_at)
    if sent is None or received is None:
        raise Refused(
            Reason.BAD_VALUE,
            f"sent_at {event.sent_at!r:.40} and received_at {event.received_at!r:.40}"
            " must be ISO 8601 or epoch ms",
        )
    skew = received - sent
    if skew == 0:
        return time, 0
    if abs(skew) > limits.skew_ms_max:
        return time, Flag.SKEW_REFUSED
    return _sane_time(time + skew, event.event_time), Flag.SKEW_CORRECTED


def _sane_time(time: int | None, given: float | str) -> int:
    if time is None:
        raise Refused(
            Reason.BAD_VALUE, f"event_time {given!r:.40} is neither ISO 8601 nor epoch ms"
        )
    if not TIME_MS_MIN <= time <= TIME_MS_MAX:
        raise Refused(
            Reason.BAD_VALUE, f"event_time {given!r:.40} is not in the years 2000 to 2099"
        )
    return time


def _check_id(name: str, text: str) -> None:
    if not text:
        raise Refused(Reason.BAD_VALUE, f"{name} is empty")
    if not fits(text, ID_BYTES_MAX):
        raise Refused(Reason.BAD_VALUE, f"{name} is longer than {ID_BYTES_MAX} bytes")


def _text_hash(name: str, text: str | None, memories: Memories) -> int:
    value = memories.texts.one(text)
    if value == REFUSED:
        raise Refused(Reason.BAD_VALUE, f"{name} is too long: {len(text or '')} characters")
    return value


def _item_hash(item: Click | PurchaseItem, memories: Memories) -> int:
    value = memories.items.one(item.item_id or item.product_id)
    if value == REFUSED:
        raise Refused(Reason.BAD_VALUE, f"item_id is longer than {ID_BYTES_MAX} bytes")
    if value == 0:
        if item.item_id is None and item.product_id is None:
            raise Refused(Reason.SCHEMA_INVALID, "item_id (or product_id) is missing")
        raise Refused(Reason.BAD_VALUE, "item_id is empty")
    return value


def _cents(price: float | str | None) -> int:
    cents = price_cents(price)
    if cents == REFUSED_CENTS:
        raise Refused(Reason.BAD_VALUE, f"price {price!r:.40} is negative, too large or no number")
    return cents


def _click_steps(event: Any, memories: Memories) -> list[Step]:
    action = DEFAULT_ACTION[event.event_type] if event.action is None else action_of[event.action]
    item = _item_hash(event, memories)
    category = _text_hash("category", event.category, memories)
    return [(item, _cents(event.price), category, NO_TOKENS, 1, action)]


def _search_steps(event: Any, memories: Memories) -> list[Step]:
    if not fits(event.query, QUERY_BYTES_MAX):
        raise Refused(Reason.BAD_VALUE, f"query is longer than {QUERY_BYTES_MAX} bytes")
    category = _text_hash("category", event.category, memories)
    tokens = tuple(memories.words.one(word) for word in query_words(event.query))
    return [(0, -1, category, tokens, 1, action_of["search"])]


def _purchase_steps(event: Any, memories: Memories) -> list[Step]:
    """One step per item; from the 64th on they are summed into it.

    The sum keeps the 64th item's id and category. Its quantity is the sum of quantities (at most
    65,535), its price the mean unit price, weighted by quantity and rounded half up, over those
    items that have a price: quantity * price stays the money, but for rounding and the cap.
    """
    _check_id("order_id", event.order_id)
    if not event.items:
        raise Refused(Reason.SCHEMA_INVALID, "items is empty")
    steps: list[Step] = []
    for item in event.items:
        quantity = 1 if item.quantity is None else item.quantity
        if not 1 <= quantity <= QUANTITY_MAX:
            raise Refused(Reason.BAD_VALUE, f"quantity {quantity!r:.40} is not 1 to {QUANTITY_MAX}")
        category = _text_hash("category", item.category, memories)
        steps.append((
            _item_hash(item, memories), _cents(item.price), category, NO_TOKENS, quantity,
            action_of["purchase"],
        ))  # fmt: skip
    if len(steps) > PURCHASE_STEPS_MAX:
        steps[PURCHASE_STEPS_MAX - 1 :] = [_summed(steps[PURCHASE_STEPS_MAX - 1 :])]
    return steps


def _summed(steps: list[Step]) -> Step:
    item, _, category, tokens, _, action = steps[0]
    quantity = sum(step[4] for step in steps)
    priced = sum(step[4] for step in steps if step[1] >= 0)
    cents = sum(step[1] * step[4] for step in steps if step[1] >= 0)
    mean = (2 * cents + priced) // (2 * priced) if priced else -1
    return item, mean, category, tokens, min(quantity, QUANTITY_MAX), action


_READ_STEPS: Final = (_click_steps, _search_steps, _purchase_steps)


def user_key(event: Envelope) -> str:
    """Name the user as the record's key must; "": the event names none."""
    if event.user_id:
        return event.user_id
    return ANONYMOUS_PREFIX + event.anonymous_id if event.anonymous_id else ""


def _checked_user(event: Envelope) -> bytes:
    name = user_key(event)
    if not name:
        raise Refused(Reason.SCHEMA_INVALID, "user_id (or anonymous_id) is missing or empty")
    if not fits(name, KEY_BYTES_MAX):
        raise Refused(Reason.BAD_VALUE, f"user_id is longer than {KEY_BYTES_MAX} bytes")
    if name.startswith("\0"):
        raise Refused(Reason.BAD_VALUE, "user_id begins with a NUL byte")
    return name.encode()


def _check_key(user: bytes, key: bytes | None, partition: int, limits: Limits) -> None:
    if not key:
        raise Refused(Reason.KEY_MISSING, "the record has no key")
    if key != user:
        raise Refused(Reason.KEY_MISMATCH, f"key {key[:40]!r}, event's user {user[:40]!r}")
    home = partition_of(key, limits.partitions_count)
    if home != partition:
        raise Refused(
            Reason.WRONG_PARTITION,
            f"key {key[:40]!r} belongs in partition {home} of {limits.partitions_count},"
            f" not in {partition}",
        )
