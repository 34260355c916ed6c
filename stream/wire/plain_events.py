"""Records to rows of EVENT and STEP without an object on the way: the fast twin of wire.event.

Rules of the room: compiled loops over bytes. A row in which anything is unusual is left alone
(done 0) and stream.wire.event reads it: so a rule here may be stricter than there, never laxer.
tests/wire/test_decode.py holds the two against each other on any bytes.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import (
    ACTIONS,
    PURCHASE_STEPS_MAX,
    TOKENS_MAX,
    Bytes,
    Flag,
    Record,
    Records,
    action_of,
)
from stream.wire.json_scan import (
    ABSENT,
    AT_LIST,
    DEPTH_MAX,
    DONE,
    FALSE,
    FIELDS,
    INT,
    NULL,
    TEXT,
    field_of,
    scan_members,
    skip_space,
)
from stream.wire.limits import KEY_BYTES_MAX, NESTING_MAX, QUANTITY_MAX, TIME_MS_MAX, TIME_MS_MIN
from stream.wire.murmur2 import murmur2_at
from stream.wire.plain_values import (
    NO_HASH,
    WORD_BYTES_MAX,
    cents_of,
    id_hash_of,
    is_text,
    item_hash_of,
    name_in,
    read_query,
    read_time,
    text_hash_of,
)
from stream.wire.times import UNREAD

Integers = npt.NDArray[np.int64]

# What is read here lies within the event, its list of items and one of them.
if DEPTH_MAX + 3 > NESTING_MAX:
    raise ValueError(f"DEPTH_MAX={DEPTH_MAX}: with three levels more at most {NESTING_MAX}")

_ENVELOPE: Final = FIELDS[: field_of["is_bot"] + 1]
_LINE: Final = ("item_id", "product_id", "category", "quantity", "price")
_OF_TOPIC: Final = (
    (*_ENVELOPE, "item_id", "product_id", "category", "price", "action"),
    (*_ENVELOPE, "query", "category"),
    (*_ENVELOPE, "order_id", "items"),
    _LINE,
)
# Names of event types by topic, and the action that each stands for.
_TYPES: Final = (
    (0, "click", "click"),
    (0, "product_clicked", "click"),
    (0, "product_viewed", "view"),
    (0, "product_added", "cart"),
    (1, "search", "search"),
    (1, "products_searched", "search"),
    (2, "purchase", "purchase"),
    (2, "order_completed", "purchase"),
)
_CLICK_ACTIONS: Final = ("view", "click", "cart", "favourite")


def _words(names: tuple[str, ...]) -> Bytes:
    """Names in rows of bytes, ended by zeros."""
    return np.array([list(name.encode().ljust(20, b"\0")) for name in names], np.uint8)


_WANTED: Final = np.array(
    [[name in fields for name in FIELDS] for fields in _OF_TOPIC], np.uint8
)  # (4, F)
_TYPE_NAMES: Final = _words(tuple(name for _, name, _ in _TYPES))
_TYPE_TOPICS: Final = np.array([topic for topic, _, _ in _TYPES], np.int64)
_TYPE_ACTIONS: Final = np.array([action_of[action] for _, _, action in _TYPES], np.int64)
_ACTION_NAMES: Final = _words(ACTIONS)
_CLICKABLE: Final = np.array([action in _CLICK_ACTIONS for action in ACTIONS], np.uint8)

_EVENT_ID: Final = field_of["event_id"]
_EVENT_TYPE: Final = field_of["event_type"]
_EVENT_TIME: Final = field_of["event_time"]
_USER_ID: Final = field_of["user_id"]
_ANONYMOUS_ID: Final = field_of["anonymous_id"]
_SENT_AT: Final = field_of["sent_at"]
_RECEIVED_AT: Final = field_of["received_at"]
_CHANNEL: Final = field_of["channel"]
_IS_BOT: Final = field_of["is_bot"]
_CATEGORY: Final = field_of["category"]
_ACTION: Final = field_of["action"]
_ORDER_ID: Final = field_of["order_id"]
_QUANTITY: Final = field_of["quantity"]
_SEARCHES: Final = 1
_PURCHASES: Final = 2
_LINES: Final = 3
_CORRECTED: Final = int(Flag.SKEW_CORRECTED)
_REFUSED: Final = int(Flag.SKEW_REFUSED)
_BUY: Final = action_of["purchase"]
_LOOK_FOR: Final = action_of["search"]


class Rules(NamedTuple):
    """What the kernel is told beside the bytes."""

    topic: int
    partition: int
    partitions_count: int
    event_bytes_max: int
    skew_ms_max: int


class Scratch(NamedTuple):
    """What the kernel remembers while it reads; F is the number of fields."""

    found: Integers  # (F, 3) kind, place and size of each field of an event
    line: Integers  # (F, 3) of a line of an order
    following: npt.NDArray[np.int8]  # (F + 1,) the field that came behind each one last time; -1
    following_in_line: npt.NDArray[np.int8]  # (F + 1,)
    place: Integers  # (1,) where reading stopped
    words: Bytes  # of a query


def new_scratch() -> Scratch:
    """Make the scratch of one call. Some microseconds."""
    fields = _WANTED.shape[1]
    return Scratch(
        np.zeros((fields, 3), np.int64),
        np.zeros((fields, 3), np.int64),
        np.full(fields + 1, -1, np.int8),
        np.full(fields + 1, -1, np.int8),
        np.zeros(1, np.int64),
        np.zeros((TOKENS_MAX, WORD_BYTES_MAX), np.uint8),
    )


@compiled
def steps_bound(data: Bytes, places: Integers, steps_max: int) -> int:
    """Count the steps that records may become: an object in a list has a brace."""
    total = 0
    for row in range(len(places)):
        braces = 0
        for at in range(places[row, 2], places[row, 2] + places[row, 3]):
            braces += data[at] == 123
        total += min(max(braces, 1), steps_max)
    return total


@compiled
def read_plain(
    rules: Rules,
    data: Bytes,
    places: Integers,
    events: Records,  # (n,) EVENT; offset, timestamp, topic and type are filled in
    steps: Records,  # (m,) STEP out, m from `steps_bound`
    done: npt.NDArray[np.uint8],  # (n,) out: 1: the row is read
    scratch: Scratch,
) -> int:
    """Read the rows in which nothing is unusual; return the number of steps written.

    0.5 us for a click of 197 bytes, see tests/bench/decode.py.
    """
    found, line, following, following_in_line, place, words = scratch
    filled = 0
    for row in range(len(places)):
        done[row] = 0
        first, size = places[row, 2], places[row, 3]
        if size < 2 or size > rules.event_bytes_max:
            continue
        end = first + size
        at = skip_space(data, first, end)
        if at >= end or data[at] != 123:
            continue
        found[:, 0] = ABSENT
        wanted = _WANTED[rules.topic]
        status = scan_members(data, at + 1, end, wanted, found, following, place, False)
        count = 0
        if status == AT_LIST:
            count = _read_lines(data, place[0], end, line, following_in_line, place, steps, filled)
            if count < 1:
                continue
            status = scan_members(data, place[0], end, wanted, found, following, place, True)
        if status != DONE or skip_space(data, place[0], end) != end:
            continue
        event = events[row]
        action = _read_envelope(rules, data, places, row, found, event)
        if action < 0:
            continue
        if rules.topic == _PURCHASES:
            if count == 0 or id_hash_of(data, found, _ORDER_ID) == NO_HASH:
                continue
        else:
            if filled >= len(steps):
                continue
            count = _read_step(data, rules.topic, found, action, words, steps[filled])
            if count == 0:
                continue
        for index in range(filled, filled + count):
            step = steps[index]
            step.event_id = event.event_id
            step.time_ms = event.time_ms
            step.source = event.offset * 4 + rules.topic
            step.event_type = rules.topic
        event.step_first = filled
        event.steps_count = count
        filled += count
        done[row] = 1
    return filled


@compiled
def _read_envelope(
    rules: Rules, data: Bytes, places: Integers, row: int, found: Integers, event: Record
) -> int:
    """Fill an event's own fields; return the action that its type stands for, -1: unusual."""
    name = name_in(data, found, _EVENT_TYPE, _TYPE_NAMES)
    if name < 0 or _TYPE_TOPICS[name] != rules.topic:
        return -1
    bot = found[_IS_BOT, 0]
    if bot not in (ABSENT, NULL, FALSE):
        return -1
    if not _is_key(rules, data, places, row, found):
        return -1
    event.event_id = id_hash_of(data, found, _EVENT_ID)
    if event.event_id == NO_HASH:
        return -1
    time_ms, flags = _event_time(rules, data, found)
    if time_ms == UNREAD:
        return -1
    event.time_ms = time_ms
    event.flags = flags
    for field in range(_CHANNEL, _CHANNEL + 3):
        if not is_text(found, field):
            return -1
    event.channel = text_hash_of(data, found, _CHANNEL)
    event.device = text_hash_of(data, found, _CHANNEL + 1)
    event.region = text_hash_of(data, found, _CHANNEL + 2)
    return int(_TYPE_ACTIONS[name])


@compiled
def _is_key(rules: Rules, data: Bytes, places: Integers, row: int, found: Integers) -> bool:
    """Whether the record's key is that of its user, and lies in its partition."""
    for field in range(_USER_ID, _ANONYMOUS_ID + 1):
        kind = found[field, 0]
        if kind not in (ABSENT, NULL, TEXT):
            return False
    at, size = places[row, 0], places[row, 1]
    if size < 1 or size > KEY_BYTES_MAX or data[at] == 0:
        return False
    begin, skipped = found[_USER_ID, 1], 0
    if found[_USER_ID, 0] != TEXT or found[_USER_ID, 2] == 0:
        if found[_ANONYMOUS_ID, 0] != TEXT or found[_ANONYMOUS_ID, 2] == 0:
            return False
        # anon:
        if size <= 5 or not (
            data[at] == 97 and data[at + 1] == 110 and data[at + 2] == 111
            and data[at + 3] == 110 and data[at + 4] == 58
        ):  # fmt: skip
            return False
        begin, skipped = found[_ANONYMOUS_ID, 1], 5
        if size - skipped != found[_ANONYMOUS_ID, 2]:
            return False
    elif size != found[_USER_ID, 2]:
        return False
    for index in range(size - skipped):
        if data[at + skipped + index] != data[begin + index]:
            return False
    home = (murmur2_at(data, at, size) & np.uint32(0x7FFF_FFFF)) % np.uint32(rules.partitions_count)
    return bool(np.int64(home) == rules.partition)


@compiled
def _event_time(rules: Rules, data: Bytes, found: Integers) -> tuple[int, int]:
    """Event time, corrected for skew, and flags; UNREAD: unusual."""
    time_ms = read_time(data, found, _EVENT_TIME)
    if time_ms < TIME_MS_MIN or time_ms > TIME_MS_MAX:
        return UNREAD, 0
    given = 0
    for field in range(_SENT_AT, _RECEIVED_AT + 1):
        kind = found[field, 0]
        if kind in (INT, TEXT):
            given += 1
        elif kind not in (ABSENT, NULL):
            return UNREAD, 0
    if given < 2:
        return time_ms, 0
    sent_ms, received_ms = read_time(data, found, _SENT_AT), read_time(data, found, _RECEIVED_AT)
    if UNREAD in (sent_ms, received_ms):
        return UNREAD, 0
    skew_ms = received_ms - sent_ms
    if skew_ms == 0:
        return time_ms, 0
    if abs(skew_ms) > rules.skew_ms_max:
        return time_ms, _REFUSED
    time_ms += skew_ms
    if time_ms < TIME_MS_MIN or time_ms > TIME_MS_MAX:
        return UNREAD, 0
    return time_ms, _CORRECTED


@compiled
def _read_step(
    data: Bytes, topic: int, found: Integers, action: int, words: Bytes, step: Record
) -> int:
    """Fill the step of a click or a search; return 1, or 0: unusual."""
    if not is_text(found, _CATEGORY):
        return 0
    step.category = text_hash_of(data, found, _CATEGORY)
    step.quantity = 1
    step.tokens[:] = 0
    if topic == _SEARCHES:
        step.item = NO_HASH
        step.price_cents = -1
        step.action = _LOOK_FOR
        return int(read_query(data, found, words, step))
    step.item = item_hash_of(data, found)
    cents = cents_of(data, found)
    if step.item == NO_HASH or cents < -1:
        return 0
    step.price_cents = cents
    kind = found[_ACTION, 0]
    if kind == TEXT:
        action = name_in(data, found, _ACTION, _ACTION_NAMES)
        if action < 0 or _CLICKABLE[action] == 0:
            return 0
    elif kind not in (ABSENT, NULL):
        return 0
    step.action = action
    return 1


@compiled
def _read_lines(
    data: Bytes,
    at: int,
    end: int,
    line: Integers,
    following: npt.NDArray[np.int8],
    place: Integers,  # (1,) out: behind the list
    steps: Records,
    filled: int,
) -> int:
    """Fill a step for each line of an order; return their number, 0: unusual."""
    count = 0
    at = skip_space(data, at + 1, end)
    while True:
        if at >= end or data[at] != 123 or count == PURCHASE_STEPS_MAX:
            return 0
        line[:, 0] = ABSENT
        inner = _WANTED[_LINES]
        if scan_members(data, at + 1, end, inner, line, following, place, False) != DONE:
            return 0
        if filled + count >= len(steps) or not is_text(line, _CATEGORY):
            return 0
        step = steps[filled + count]
        step.item = item_hash_of(data, line)
        cents = cents_of(data, line)
        quantity = 1
        if line[_QUANTITY, 0] == INT:
            quantity = line[_QUANTITY, 1]
        elif line[_QUANTITY, 0] != ABSENT and line[_QUANTITY, 0] != NULL:
            return 0
        if step.item == NO_HASH or cents < -1 or quantity < 1 or quantity > QUANTITY_MAX:
            return 0
        step.price_cents = cents
        step.quantity = quantity
        step.category = text_hash_of(data, line, _CATEGORY)
        step.tokens[:] = 0
        step.action = _BUY
        count += 1
        at = skip_space(data, place[0], end)
        if at >= end:
            return 0
        if data[at] == 93:  # ]
            place[0] = at + 1
            return count
        if data[at] != 44:
            return 0
        at = skip_space(data, at + 1, end)
