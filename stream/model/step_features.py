"""The step features: what the recurrent model is told of a step. One definition for all uses.

Rules of the room: a feature depends on the step and on the gap to the step before, on nothing else,
so that a window gives the same inputs whenever it is read. Indices come from the vocabulary, scales
are fixed here; what is learned (the tables' rows) stands in the bundle.

Three arrays per step: an item row, six rows of the side table, and the dense columns.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import ACTIONS, EVENT_TYPES, SESSION_GAP_MS, TOKENS_MAX, Records
from stream.model.lookup import HashMap, find

PRICE_BANDS: Final = 16  # 0: not given
SIDE_COUNT: Final = 2 + TOKENS_MAX

# (name, unit, definition): item row, then side rows, then dense columns, in order.
STEP_FEATURES: Final = (
    ("item", "row", "0: no item; known items from 1; unknown ones in rows of their own, by hash"),
    ("category", "row", "0: not given; known ones from 1; unknown ones in rows of their own"),
    ("price_band", "row", "0: not given; else 1 + floor(log2(1 + cents / 50)), at most 15"),
    *(
        (f"token_{index}", "row", f"query word {index}: 0 none, else 1 + hash mod token_buckets")
        for index in range(1, TOKENS_MAX + 1)
    ),
    *((f"type_{name}", "1", f"1: the event is a {name}") for name in EVENT_TYPES),
    *((f"action_{name}", "1", f"1: the action is {name}") for name in ACTIONS),
    ("hour_sin", "1", "sine of the time of day of the step, UTC, to the minute"),
    ("hour_cos", "1", "cosine of the same"),
    ("weekday_sin", "1", "sine of the day of the week, Monday 0, UTC"),
    ("weekday_cos", "1", "cosine of the same"),
    ("gap_log", "1", "log(1 + s since the step before) / 8, not below 0; 0: no step before"),
    ("gap_none", "1", "1: the first step of the window read, no step before it"),
    ("session_first", "1", "1: more than 30 min since the step before, or none before"),
    ("quantity_log", "1", "log(quantity), 0 for 0"),
)
DENSE_COUNT: Final = len(STEP_FEATURES) - 1 - SIDE_COUNT

_TYPE: Final = 0
_ACTION: Final = len(EVENT_TYPES)
_HOUR: Final = _ACTION + len(ACTIONS)
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_MONDAY_DAYS = 4  # 1970-01-05 was a Monday
_DAY_MINUTES = 1440


class StepTables(NamedTuple):
    """What a vocabulary contributes. Rows of the side table: categories, price bands, tokens."""

    item_keys: npt.NDArray[np.uint64]
    item_values: npt.NDArray[np.int32]
    category_keys: npt.NDArray[np.uint64]
    category_values: npt.NDArray[np.int32]
    items_count: int
    items_unknown: int
    categories_count: int
    categories_unknown: int
    price_first: int  # side row of price band 0
    token_first: int  # side row of "no token"
    token_buckets: int


class StepInputs(NamedTuple):
    """Inputs of the step graph, flat: N places."""

    item_id: npt.NDArray[np.int32]  # (N,)
    side_id: npt.NDArray[np.int32]  # (N, 6)
    dense: npt.NDArray[np.float32]  # (N, 17)


def step_tables(
    items: HashMap,
    categories: HashMap,
    counts: tuple[int, int],
    unknown: tuple[int, int],
    token_buckets: int,
) -> StepTables:
    """Lay the side table out: `counts` and `unknown` are of items and categories."""
    price_first = 1 + counts[1] + unknown[1]
    return StepTables(
        items.keys,
        items.values,
        categories.keys,
        categories.values,
        counts[0],
        unknown[0],
        counts[1],
        unknown[1],
        price_first,
        price_first + PRICE_BANDS,
        token_buckets,
    )


def side_rows(tables: StepTables) -> int:
    """Rows of the side table."""
    return tables.token_first + 1 + tables.token_buckets


def encode_steps(
    tables: StepTables,
    steps: Records,
    gap_ms: npt.NDArray[np.int64],
    order: npt.NDArray[np.int32],
) -> StepInputs:
    """Encode steps in the given order: row i is step order[i], -1: all zero. 0.1 to 0.2 us each."""
    count = len(order)
    inputs = StepInputs(
        np.empty(count, np.int32),
        np.empty((count, SIDE_COUNT), np.int32),
        np.zeros((count, DENSE_COUNT), np.float32),
    )
    _encode(tables, _HOURS, _WEEKDAYS, steps, gap_ms, order, inputs)
    return inputs


def _circle(places: int) -> npt.NDArray[np.float32]:
    angle = 2.0 * np.pi * np.arange(places) / places
    return np.stack([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


_HOURS: Final = _circle(_DAY_MINUTES)
_WEEKDAYS: Final = _circle(7)


@compiled
def _encode(
    tables: StepTables,
    hours: npt.NDArray[np.float32],
    weekdays: npt.NDArray[np.float32],
    steps: Records,
    gap_ms: npt.NDArray[np.int64],
    order: npt.NDArray[np.int32],
    out: StepInputs,
) -> None:
    for row in range(len(order)):
        at = order[row]
        if at < 0:
            out.item_id[row] = 0
            out.side_id[row] = 0
            continue
        step = steps[at]
        out.item_id[row] = item_row(tables, step.item)
        out.side_id[row, 0] = category_row(tables, step.category)
        out.side_id[row, 1] = tables.price_first + price_band(step.price_cents)
        for index in range(TOKENS_MAX):
            token = step.tokens[index]
            place = 0 if token == 0 else 1 + token % tables.token_buckets
            out.side_id[row, 2 + index] = tables.token_first + place
        dense = out.dense[row]
        dense[_TYPE + step.event_type] = 1.0
        dense[_ACTION + step.action] = 1.0
        minute = (step.time_ms // _MINUTE_MS) % _DAY_MINUTES
        dense[_HOUR] = hours[minute, 0]
        dense[_HOUR + 1] = hours[minute, 1]
        weekday = (step.time_ms // _DAY_MS - _MONDAY_DAYS) % 7
        dense[_HOUR + 2] = weekdays[weekday, 0]
        dense[_HOUR + 3] = weekdays[weekday, 1]
        gap = gap_ms[at]
        if gap > 0:
            dense[_HOUR + 4] = math.log1p(gap / 1000.0) / 8.0
        if gap < 0:
            dense[_HOUR + 5] = 1.0
        if gap < 0 or gap > SESSION_GAP_MS:
            dense[_HOUR + 6] = 1.0
        if step.quantity > 1:
            dense[_HOUR + 7] = math.log(step.quantity)


@compiled
def item_row(tables: StepTables, item: np.uint64) -> int:
    """Row of the item table for an item's hash."""
    if item == 0:
        return 0
    known = find(tables.item_keys, tables.item_values, item)
    if known >= 0:
        return known
    return 1 + tables.items_count + int((item >> np.uint64(32)) % np.uint64(tables.items_unknown))


@compiled
def category_row(tables: StepTables, category: np.uint32) -> int:
    """Row of the side table for a category's hash."""
    if category == 0:
        return 0
    known = find(tables.category_keys, tables.category_values, np.uint64(category))
    if known >= 0:
        return known
    return 1 + tables.categories_count + int(category % tables.categories_unknown)


@compiled
def price_band(price_cents: int) -> int:
    """Band of a price: 0 not given, 1 below 50 cents, each further one twice as wide."""
    if price_cents < 0:
        return 0
    band = 1
    limit = 50
    while price_cents >= limit and band < PRICE_BANDS - 1:
        band += 1
        limit = 2 * limit + 50
    return band
