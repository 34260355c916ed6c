"""Prices: examples, each bound in threes, and the column against its plain twin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.wire.limits import PRICE_CENTS_MAX
from stream.wire.money import REFUSED_CENTS, cents_column, price_cents

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


@pytest.mark.parametrize(("price", "cents"), EXAMPLES)
def test_examples(price, cents):
    assert price_cents(price) == cents
    assert cents_column([price]).tolist() == [cents]


prices = st.one_of(
    st.none(), st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 3e7),
    st.sampled_from([price for price, _ in EXAMPLES]), st.from_regex(r"\A[0-9]{1,11}(\.[0-9]+)?\Z"),
)  # fmt: skip


@given(st.lists(prices, max_size=6))
def test_column_as_alone(values):
    assert cents_column(values).tolist() == [price_cents(value) for value in values]
