"""Next item without a model: popular items, the last item's followers.

Rules of the room: numpy only. Items are rows of the vocabulary, 0: unknown.
"""

import numpy as np

from export.dataset.record import Integers, Recorded


def popularity(items: Integers, rows: int, top: int) -> Integers:
    """Return the most frequent items, most frequent first: (top,)."""
    counts = np.bincount(items[items > 0], minlength=rows)
    counts[0] = -1
    return np.argsort(-counts, kind="stable")[:top]


def markov(last: Integers, target: Integers, rows: int, top: int) -> Integers:
    """For each last item its most frequent next ones, filled up with popular ones: (rows, top)."""
    known = (last > 0) & (target > 0)
    counts = np.zeros((rows, rows))
    np.add.at(counts, (last[known], target[known]), 1.0)
    popular = np.bincount(target[known], minlength=rows)
    counts += popular / (popular.sum() + 1.0)  # below one count: only breaks ties and fills up
    counts[:, 0] = -1
    return np.argsort(-counts, axis=1, kind="stable")[:, :top]


def last_items(recorded: Recorded, items: Integers) -> Integers:
    """Item of each row's user up to and including the row: (B,); 0: none yet."""
    order = np.lexsort((np.arange(len(items)), recorded.user))
    held = items[order]
    place = np.maximum.accumulate(np.where(held > 0, np.arange(len(held)), -1))
    first = np.searchsorted(recorded.user[order], recorded.user[order])
    last = np.zeros(len(items), np.int64)
    last[order] = np.where(place >= first, held[place], 0)
    return last
