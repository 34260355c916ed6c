"""Many decoded structs to columns of EVENT and STEP: the fast twin of stream.wire.event.

Rules of the room: column by column, never a statement per event. A row in which anything is unusual
is marked odd and what was written for it means nothing: stream.wire.event reads it again. So a rule
here may be stricter than there, never laxer; tests/wire/test_twins.py compares the two.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from stream.core.layout import PURCHASE_STEPS_MAX, STEP, TOKENS_MAX, Flag, Records, action_of
from stream.wire.event import DEFAULT_ACTION, user_key
from stream.wire.hashing import REFUSED, Memories, query_words
from stream.wire.limits import (
    EXACT_MS_MAX,
    ID_BYTES_MAX,
    KEY_BYTES_MAX,
    QUANTITY_MAX,
    QUERY_BYTES_MAX,
    TIME_MS_MAX,
    TIME_MS_MIN,
    Limits,
)
from stream.wire.money import REFUSED_CENTS, cents_column
from stream.wire.murmur2 import murmur2_column
from stream.wire.times import times_column

Odd = npt.NDArray[np.bool_]  # (n,) True: to be read again, one by one

_ACTIONS: Final = {**action_of, **DEFAULT_ACTION}


class StepColumns(NamedTuple):
    """Steps of n events. Those of odd events are there too, and mean nothing."""

    steps: Records  # (m,) STEP in the order of the events; source and event_id not yet filled
    counts: npt.NDArray[np.int64]  # (n,) steps per event
    odd: Odd  # (n,)


def fill_events(events: Records, structs: list[Any], limits: Limits, memories: Memories) -> Odd:
    """Fill event_id, time_ms, flags and context of n EVENT rows (a copy of the caller's)."""
    odd = _fill_ids(events, [event.event_id for event in structs])
    odd |= _fill_times(events, structs, limits)
    columns = (
        ("channel", [event.channel for event in structs]),
        ("device", [event.device for event in structs]),
        ("region", [event.region for event in structs]),
    )
    for name, texts in columns:
        hashes = _text_hashes(texts, memories)
        if hashes is not None:
            events[name] = hashes
            odd |= hashes == REFUSED
    bots = [event.is_bot for event in structs]
    if True in bots:
        odd |= np.array([bot is True for bot in bots])
    return odd


def check_keys(structs: list[Any], keys: list[bytes | None], partition: int, limits: Limits) -> Odd:
    """Find rows whose key is not that of their user, or lies in the wrong partition."""
    names = [event.user_id or user_key(event) for event in structs]
    keys_given: list[Any] = [key or b"" for key in keys] if None in keys else keys
    users = list(map(str.encode, names))
    if users == keys_given:
        odd = np.zeros(len(users), np.bool_)
    else:
        pairs = zip(users, keys_given, strict=True)
        odd = np.array([user != key for user, key in pairs], np.bool_)
    data = np.frombuffer(b"".join(keys_given), np.uint8)
    sizes = np.fromiter(map(len, keys_given), np.int64, len(keys_given))
    hashes = np.empty(len(sizes), np.uint32)
    murmur2_column(data, sizes, hashes)
    odd |= (hashes & np.uint32(0x7FFF_FFFF)) % np.uint32(limits.partitions_count) != partition
    odd |= (sizes == 0) | (sizes > KEY_BYTES_MAX)
    begins = np.cumsum(sizes) - sizes
    filled = sizes > 0
    odd[filled] |= data[begins[filled]] == 0
    return odd


def click_steps(structs: list[Any], memories: Memories) -> StepColumns:
    """One step per click."""
    steps = np.zeros(len(structs), STEP)
    odd = _fill_items(steps, [event.item_id or event.product_id for event in structs], memories)
    odd |= _fill_category(steps, [event.category for event in structs], memories)
    odd |= _fill_prices(steps, [event.price for event in structs])
    steps["quantity"] = 1
    steps["action"] = [_ACTIONS[event.action or event.event_type] for event in structs]
    return StepColumns(steps, np.ones(len(structs), np.int64), odd)


def search_steps(structs: list[Any], memories: Memories) -> StepColumns:
    """One step per search, about 1.5 us each."""
    steps = np.zeros(len(structs), STEP)
    odd = _fill_category(steps, [event.category for event in structs], memories)
    queries = [event.query for event in structs]
    odd |= np.fromiter(map(len, queries), np.int64, len(queries)) * 4 > QUERY_BYTES_MAX
    words: list[str | None] = []
    for query in queries:
        words += query_words(query[:QUERY_BYTES_MAX])
    tokens = memories.words.column(words)
    steps["tokens"] = np.array(tokens, np.uint16).reshape(-1, TOKENS_MAX)
    steps["price_cents"] = -1
    steps["quantity"] = 1
    steps["action"] = action_of["search"]
    return StepColumns(steps, np.ones(len(structs), np.int64), odd)


def purchase_steps(structs: list[Any], memories: Memories) -> StepColumns:
    """One step per item; orders of none or of too many items are odd."""
    counts = np.fromiter((len(event.items) for event in structs), np.int64, len(structs))
    odd = (counts == 0) | (counts > PURCHASE_STEPS_MAX)
    lines = [line for event in structs for line in event.items]
    steps = np.zeros(len(lines), STEP)
    wrong = _fill_items(steps, [line.item_id or line.product_id for line in lines], memories)
    wrong |= _fill_category(steps, [line.category for line in lines], memories)
    wrong |= _fill_prices(steps, [line.price for line in lines])
    quantities = [
        1 if (count := line.quantity) is None else count if 0 < count <= QUANTITY_MAX else 0
        for line in lines
    ]
    steps["quantity"] = quantities
    wrong |= steps["quantity"] == 0
    steps["action"] = action_of["purchase"]
    if wrong.any():
        owner = np.repeat(np.arange(len(structs)), counts)
        odd[owner[wrong]] = True
    orders = [event.order_id for event in structs]
    odd |= _odd_sizes(orders)
    return StepColumns(steps, counts, odd)


STEPS_OF_TOPIC: Final = (click_steps, search_steps, purchase_steps)


def _odd_sizes(texts: list[str]) -> Odd:
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    odd: Odd = (sizes == 0) | (sizes * 4 > ID_BYTES_MAX)
    return odd


def _fill_ids(events: Records, ids: list[str]) -> Odd:
    hashes = np.fromiter(map(xxh3_64_intdigest, map(str.encode, ids)), np.uint64, len(ids))
    hashes[hashes == 0] = 1  # as id_hash
    events["event_id"] = hashes
    return _odd_sizes(ids)


def _fill_times(events: Records, structs: list[Any], limits: Limits) -> Odd:
    time = times_column([event.event_time for event in structs])
    odd = _insane(time)
    sent = [event.sent_at for event in structs]
    if sent.count(None) != len(sent):
        received = [event.received_at for event in structs]
        both = np.array([
            a is not None and b is not None for a, b in zip(sent, received, strict=True)
        ], np.bool_)  # fmt: skip
        sent_ms, received_ms = times_column(sent), times_column(received)
        unread = (np.abs(sent_ms) > EXACT_MS_MAX) | (np.abs(received_ms) > EXACT_MS_MAX)
        odd |= both & unread
        skew = np.where(both & ~unread, received_ms - sent_ms, 0)
        refused = np.abs(skew) > limits.skew_ms_max
        time = np.where(refused, time, time + skew)
        odd |= _insane(time)
        events["flags"] = np.where(
            refused, Flag.SKEW_REFUSED, np.where(skew != 0, Flag.SKEW_CORRECTED, 0)
        )
    events["time_ms"] = time
    return odd


def _insane(time: npt.NDArray[np.int64]) -> Odd:
    odd: Odd = (time < TIME_MS_MIN) | (time > TIME_MS_MAX)
    return odd


def _text_hashes(texts: list[str | None], memories: Memories) -> npt.NDArray[np.int64] | None:
    """Hash a column of texts; None: nothing is given in any row."""
    if texts.count(None) == len(texts):
        return None
    return np.array(memories.texts.column(texts), np.int64)


def _fill_category(steps: Records, texts: list[str | None], memories: Memories) -> Odd:
    hashes = _text_hashes(texts, memories)
    if hashes is None:
        return np.zeros(len(steps), np.bool_)
    steps["category"] = hashes
    odd: Odd = hashes == REFUSED
    return odd


def _fill_items(steps: Records, texts: list[str | None], memories: Memories) -> Odd:
    """Write item hashes; REFUSED becomes 0, which is odd as well."""
    hashes = memories.items.column(texts)
    if REFUSED in hashes:
        hashes = [max(value, 0) for value in hashes]
    steps["item"] = np.array(hashes, np.uint64)
    odd: Odd = steps["item"] == 0
    return odd


def _fill_prices(steps: Records, prices: list[float | str | None]) -> Odd:
    cents = cents_column(prices)
    steps["price_cents"] = cents
    odd: Odd = cents == REFUSED_CENTS
    return odd
