"""Each step feature, boundaries in threes; nothing but step and gap enters."""

from typing import Any

import numpy as np
import pytest

from stream.core.layout import STEP, action_of, type_of
from stream.model.bundle import Bundle
from stream.model.step_features import (
    DENSE_COUNT,
    PRICE_BANDS,
    SIDE_COUNT,
    STEP_FEATURES,
    encode_steps,
    price_band,
    side_rows,
)
from stream.model.vocabulary import hash_32, hash_64

DENSE = [name for name, _, _ in STEP_FEATURES[1 + SIDE_COUNT :]]
MONDAY_NOON_MS = 1_767_614_400_000  # 2026-01-05T12:00:00Z


def encode(
    bundle: Bundle, gap_ms: int = 0, **fields: Any
) -> tuple[int, list[int], dict[str, float]]:
    step = np.zeros(1, STEP)
    step["price_cents"], step["quantity"], step["time_ms"] = -1, 1, MONDAY_NOON_MS
    for name, value in fields.items():
        step[name] = value
    item, side, dense = encode_steps(
        bundle.tables, step, np.array([gap_ms], np.int64), np.zeros(1, np.int32)
    )
    return int(item[0]), side[0].tolist(), dict(zip(DENSE, dense[0].tolist(), strict=True))


def test_items_are_none_known_or_in_an_unknown_row(bundle: Bundle) -> None:
    count = bundle.vocabulary.items_count
    assert encode(bundle, item=0)[0] == 0
    assert encode(bundle, item=hash_64("p00000"))[0] == 1
    assert encode(bundle, item=hash_64(f"p{count - 1:05d}"))[0] == count
    rows = {encode(bundle, item=hash_64(f"new-{n}"))[0] for n in range(60)}
    assert rows == set(range(count + 1, bundle.vocabulary.item_rows))


def test_categories_and_tokens_have_side_rows(bundle: Bundle) -> None:
    tables = bundle.tables
    assert encode(bundle)[1] == [0, tables.price_first, *[tables.token_first] * 4]
    assert encode(bundle, category=hash_32("category-3"))[1][0] == 4
    assert 40 < encode(bundle, category=hash_32("new"))[1][0] <= 48
    tokens = encode(bundle, tokens=[1, 1024, 65_535, 0])[1][2:]
    first = tables.token_first
    assert tokens == [first + 2, first + 1, first + 1024, first]
    assert first + tables.token_buckets + 1 == side_rows(tables)


@pytest.mark.parametrize(
    ("cents", "band"),
    [(-1, 0), (0, 1), (49, 1), (50, 2), (149, 2), (150, 3), (2**31 - 1, PRICE_BANDS - 1)],
)
def test_price_bands(cents: int, band: int) -> None:
    assert price_band(cents) == band
    if cents >= 0:
        assert band == min(PRICE_BANDS - 1, 1 + int(np.floor(np.log2(1 + cents / 50))))


def test_type_and_action_are_one_hot(bundle: Bundle) -> None:
    dense = encode(bundle, event_type=type_of["search"], action=action_of["search"])[2]
    assert [name for name in DENSE[:9] if dense[name]] == ["type_search", "action_search"]


def test_time_is_cyclic_and_utc(bundle: Bundle) -> None:
    noon = encode(bundle)[2]
    assert (noon["hour_sin"], noon["hour_cos"]) == pytest.approx((0, -1), abs=1e-6)
    assert (noon["weekday_sin"], noon["weekday_cos"]) == pytest.approx((0, 1), abs=1e-6)
    later = encode(bundle, time_ms=MONDAY_NOON_MS + 2 * 86_400_000 + 6 * 3_600_000)[2]
    assert (later["hour_sin"], later["hour_cos"]) == pytest.approx((-1, 0), abs=1e-6)
    angle = 2 * np.pi * 2 / 7
    assert (later["weekday_sin"], later["weekday_cos"]) == pytest.approx(
        (np.sin(angle), np.cos(angle)), abs=1e-6
    )


@pytest.mark.parametrize(
    ("gap_ms", "log", "none", "first"),
    [
        (-1, 0, 1, 1),
        (0, 0, 0, 0),
        (1_799_999, np.log1p(1799.999) / 8, 0, 0),
        (1_800_000, np.log1p(1800) / 8, 0, 0),
        (1_800_001, np.log1p(1800.001) / 8, 0, 1),
    ],
)
def test_gap(bundle: Bundle, gap_ms: int, log: float, none: int, first: int) -> None:
    dense = encode(bundle, gap_ms)[2]
    assert dense["gap_log"] == pytest.approx(log, abs=1e-6)
    assert (dense["gap_none"], dense["session_first"]) == (none, first)


@pytest.mark.parametrize(("quantity", "value"), [(0, 0), (1, 0), (2, np.log(2)), (65_535, 11.09)])
def test_quantity(bundle: Bundle, quantity: int, value: float) -> None:
    assert encode(bundle, quantity=quantity)[2]["quantity_log"] == pytest.approx(value, abs=1e-3)


def test_nothing_but_step_and_gap_enters(bundle: Bundle) -> None:
    """Ids and sources differ, the order of encoding differs: the inputs do not."""
    steps = np.zeros(5, STEP)
    steps["item"] = [hash_64("p00001"), 0, 7, hash_64("p00002"), hash_64("p00001")]
    steps["time_ms"] = MONDAY_NOON_MS + np.arange(5)
    gap_ms = np.array([-1, 5, 70_000, 3, 9], np.int64)
    straight = encode_steps(bundle.tables, steps, gap_ms, np.arange(5, dtype=np.int32))
    steps["event_id"], steps["source"] = 9, 9
    order = np.array([4, 2, 0, 1, 3], np.int32)
    mixed = encode_steps(bundle.tables, steps, gap_ms, order)
    for one, other in zip(straight, mixed, strict=True):
        assert np.array_equal(one[order], other)


def test_every_feature_is_described() -> None:
    assert len(STEP_FEATURES) == 1 + SIDE_COUNT + DENSE_COUNT
    assert len({name for name, _, _ in STEP_FEATURES}) == len(STEP_FEATURES)
