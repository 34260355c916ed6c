"""The best K against a stable sort, the plain twin of the compiled loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.model.lookup import hash_map
from stream.model.selection import BLOCK, leave_out, select_top


def plain(logits: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """The plain twin: a stable sort."""
    index = np.zeros((len(logits), wanted), np.int32)
    score = np.full((len(logits), wanted), -np.inf, np.float32)
    for row, values in enumerate(logits):
        order = np.argsort(-values, kind="stable")[:wanted]
        order = order[values[order] > -np.inf]
        index[row, : len(order)] = order + 1
        score[row, : len(order)] = values[order]
    return index, score


def selected(logits: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    index = np.full((len(logits), wanted), 77, np.int32)
    score = np.full((len(logits), wanted), 77, np.float32)
    select_top(logits, index, score)
    return index, score


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4 * BLOCK + 3),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.3, 5.0, 1e6]),
)
def test_selects_what_a_sort_selects(items: int, wanted: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal((3, items)) * scale).astype(np.float32)
    logits[1] = np.round(logits[1]) + np.float32(0)  # ties; the sort cannot tell -0.0 from 0.0
    logits[2, rng.random(items) < 0.8] = -np.inf
    for ours, theirs in zip(selected(logits, wanted), plain(logits, wanted), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("items", [9, 10, 11, BLOCK - 1, BLOCK, BLOCK + 1, 10 * BLOCK, 11 * BLOCK])
def test_lists_at_the_edges(items: int) -> None:
    logits = np.random.default_rng(items).standard_normal((4, items)).astype(np.float32)
    index, score = selected(logits, 10)
    assert np.array_equal(index, plain(logits, 10)[0])
    assert (index > 0).sum() == 4 * min(10, items)
    assert np.all(score[index == 0] == -np.inf)


def test_rising_and_falling_rows() -> None:
    up = np.arange(1000, dtype=np.float32)[None]
    assert selected(up, 3)[0].tolist() == [[1000, 999, 998]]
    assert selected(np.ascontiguousarray(up[:, ::-1]), 3)[0].tolist() == [[1, 2, 3]]
    assert selected(-up, 3)[0].tolist() == [[1, 2, 3]]


def test_recent_items_are_left_out_and_unknown_ones_ignored() -> None:
    items = hash_map([(11, 1), (22, 2), (33, 3)])
    logits = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]], np.float32)
    recent = np.array([[11, 0], [99, 22], [11, 22]], np.uint64)
    leave_out(logits, recent, items)
    index, score = selected(logits, 2)
    assert index.tolist() == [[2, 3], [1, 3], [3, 0]]
    assert score[2].tolist() == [1, -np.inf]
