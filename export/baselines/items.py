"""Next item without a model: popular items, the last item's followers.

Rules of the room: numpy and scipy's sparse matrices. Items are rows of the vocabulary, 0: unknown.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from export.dataset.record import Integers, Recorded

_BLOCK_ROWS: Final = 1024

Doubles = npt.NDArray[np.float64]


def popularity(items: Integers, rows: int, top: int) -> Integers:
    """Return the most frequent items, most frequent first: (top,)."""
    counts = np.bincount(items[items > 0], minlength=rows)
    counts[0] = -1
    return np.argsort(-counts, kind="stable")[:top]


def transitions(last: Integers, target: Integers, rows: int) -> sparse.csr_array:
    """Count how often `target` followed `last`: (rows, rows), row and column 0 empty."""
    known = (last > 0) & (target > 0)
    pairs = (last[known], target[known])
    counts = sparse.csr_array((np.ones(int(known.sum())), pairs), shape=(rows, rows))
    counts.sum_duplicates()
    return counts


def markov(last: Integers, target: Integers, rows: int, top: int) -> Integers:
    """For each last item its most frequent next ones, filled up with popular ones: (rows, top).

    Equal counts: the more popular one first. Memory grows with pairs and rows * top.
    """
    counts = transitions(last, target, rows)
    return strongest(counts, np.asarray(counts.sum(axis=0)), top)


def strongest(weights: sparse.csr_array, popular: Doubles, top: int) -> Integers:
    """For each row the columns of its largest weights, filled up with popular ones: (rows, top).

    Equal weights: the more popular one first; `popular` (rows,) counts. Column 0 is no item.
    """
    rows = len(popular)
    popular = np.concatenate([[-1], popular[1:]])
    row = np.repeat(np.arange(rows), np.diff(weights.indptr))
    order = np.lexsort((weights.indices, -popular[weights.indices], -weights.data, row))
    place = np.arange(len(row)) - weights.indptr[row]  # `order` keeps rows where they are
    kept = place < top
    own = np.zeros((rows, top), np.int64)
    own[row[kept], place[kept]] = weights.indices[order][kept]
    fill = np.argsort(-popular, kind="stable")[:top]
    return np.concatenate(
        [_filled(own[at : at + _BLOCK_ROWS], fill) for at in range(0, rows, _BLOCK_ROWS)]
    )


def last_items(recorded: Recorded, items: Integers) -> Integers:
    """Item of each row's user up to and including the row: (B,); 0: none yet."""
    order = np.lexsort((np.arange(len(items)), recorded.user))
    held = items[order]
    place = np.maximum.accumulate(np.where(held > 0, np.arange(len(held)), -1))
    first = np.searchsorted(recorded.user[order], recorded.user[order])
    last = np.zeros(len(items), np.int64)
    last[order] = np.where(place >= first, held[place], 0)
    return last


def _filled(own: Integers, fill: Integers) -> Integers:
    """Give each row's own items and then those of `fill` that are not among them: (rows, top)."""
    fresh = ~(own[:, :, None] == fill).any(axis=1)
    candidates = np.concatenate([own, np.where(fresh, fill, 0)], axis=1)
    given = np.argsort(candidates == 0, axis=1, kind="stable")[:, : own.shape[1]]
    return np.asarray(np.take_along_axis(candidates, given, axis=1))
