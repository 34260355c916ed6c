"""The hash map against a dict."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.model.lookup import find, hash_map


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.integers(1, 2**64 - 1), st.integers(0, 2**31 - 1), max_size=60))
def test_finds_what_a_dict_finds(known: dict[int, int]) -> None:
    table = hash_map(known.items())
    for key, value in known.items():
        assert find(table.keys, table.values, np.uint64(key)) == value
    for key in (1, 2, 2**64 - 1, 12_345):
        assert find(table.keys, table.values, np.uint64(key)) == known.get(key, -1)


@pytest.mark.parametrize("count", [7, 8, 9])
def test_stays_at_most_half_full(count: int) -> None:
    table = hash_map((key, key) for key in range(1, count + 1))
    assert len(table.keys) >= 2 * count
    assert [find(table.keys, table.values, np.uint64(key)) for key in range(1, count + 1)] == list(
        range(1, count + 1)
    )


def test_keys_that_agree_in_their_place_are_told_apart() -> None:
    spread = 0x9E3779B97F4A7C15
    keys = [pow(spread, -1, 2**64) * (n << 40) % 2**64 for n in range(1, 40)]
    table = hash_map((key, index) for index, key in enumerate(keys))
    assert [find(table.keys, table.values, np.uint64(key)) for key in keys] == list(range(39))


@pytest.mark.parametrize("pairs", [[(0, 1)], [(5, 1), (5, 2)]])
def test_zero_and_repeated_keys_are_refused(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="distinct"):
        hash_map(pairs)
