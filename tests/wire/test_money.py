"""Prices: examples, each bound in threes, and the kernel against its plain twin."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.wire.json_scan import FIELDS, field_of, scan_members
from stream.wire.limits import PRICE_CENTS_MAX
from stream.wire.money import REFUSED_CENTS, price_cents
from stream.wire.plain_values import cents_of

EXAMPLES = [
    (None, -1), (0.0, 0), (-0.0, 0), (12.99, 1299), (0.004, 0), (0.005, 1), (0.006, 1),
    (-0.01, REFUSED_CENTS), (-1e-9, REFUSED_CENTS), ("12.99", 1299), ("7", 700), ("0.005", 1),
    ("", REFUSED_CENTS), ("-1", REFUSED_CENTS), ("1e2", REFUSED_CENTS), ("nan", REFUSED_CENTS),
    ("inf", REFUSED_CENTS), ("1_0", REFUSED_CENTS), (" 1", REFUSED_CENTS), ("1.", REFUSED_CENTS),
    ("٣", REFUSED_CENTS), ("12345678901", REFUSED_CENTS), (1e300, REFUSED_CENTS),
    (21_474_836.46, PRICE_CENTS_MAX - 1), (21_474_836.47, PRICE_CENTS_MAX),
    (21_474_836.48, REFUSED_CENTS), ("21474836.47", PRICE_CENTS_MAX),
    ("21474836.48", REFUSED_CENTS),
]  # fmt: skip


def scanned(price) -> int:
    """Read a price as the kernels do, out of a JSON object; -2: left to the plain twin."""
    data = np.frombuffer(json.dumps({"price": price}, ensure_ascii=False).encode(), np.uint8)
    found, place = np.zeros((len(FIELDS), 3), np.int64), np.zeros(1, np.int64)
    wanted = np.ones(len(FIELDS), np.uint8)
    following = np.full(len(FIELDS) + 1, -1, np.int8)
    if not scan_members(data, 1, len(data), wanted, found, following, place, False):
        return REFUSED_CENTS
    assert place[0] == len(data)
    assert found[field_of["price"], 0] != 0
    return cents_of(data, found)


@pytest.mark.parametrize(("price", "cents"), EXAMPLES)
def test_examples(price, cents):
    assert price_cents(price) == cents
    assert scanned(price) in (cents, REFUSED_CENTS)


@pytest.mark.parametrize("price", [None, 0, 12, 12.99, 0.005, "12.99", "7", 21_474_836.47])
def test_what_is_usual_is_read_by_the_kernel(price):
    assert scanned(price) == price_cents(price)


prices = st.one_of(
    st.none(), st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 3e7),
    st.sampled_from([price for price, _ in EXAMPLES]), st.from_regex(r"\A[0-9]{1,11}(\.[0-9]+)?\Z"),
)  # fmt: skip


@given(st.one_of(prices, st.decimals(0, 99_999, places=2).map(float)))
def test_the_kernel_reads_the_same_or_leaves_it(price):
    assert scanned(price) in (price_cents(price), REFUSED_CENTS)
