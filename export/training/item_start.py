"""Where the item table starts: items that are looked at together lie together.

Rules of the room: numpy only, from training rows alone. Positive pointwise mutual information of
pairs of items within a few steps of each other, factored by its largest eigenvalues (Levy and
Goldberg, 2014): the place to which thousands of gradient steps would have to carry random rows.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from export.dataset.record import Integers

PAIR_STEPS: Final = 3  # how far apart a pair may stand
ITEMS_MAX: Final = 6_000  # beyond it the dense matrix is too large: start from chance


def item_start(
    item: Integers, user: Integers, rows: int, width: int
) -> npt.NDArray[np.float32] | None:
    """Return (rows, width), or None where there are too many items. `item` 0 means none."""
    if rows > ITEMS_MAX:
        return None
    order = np.lexsort((np.arange(len(item)), user))
    order = order[item[order] > 0]
    held, owner = item[order], user[order]
    pairs = np.zeros((rows, rows))
    for distance in range(1, PAIR_STEPS + 1):
        same = owner[distance:] == owner[:-distance]
        first, second = held[:-distance][same], held[distance:][same]
        np.add.at(pairs, (first, second), 1.0 / distance)
    pairs += pairs.T
    np.fill_diagonal(pairs, 0)
    share = pairs.sum(axis=1) ** 0.75
    expected = np.outer(share, share) / max(share.sum(), 1e-9)
    expected *= pairs.sum() / max(expected.sum(), 1e-9)
    with np.errstate(divide="ignore"):
        ppmi = np.log(pairs / np.maximum(expected, 1e-12))
    ppmi = np.maximum(np.where(pairs > 0, ppmi, 0), 0)
    values, vectors = np.linalg.eigh(ppmi)
    best = np.argsort(-values)[:width]
    start = vectors[:, best] * np.sqrt(np.maximum(values[best], 0))
    norm = np.linalg.norm(start, axis=1, keepdims=True)
    small = np.random.default_rng(rows).normal(0, 1, start.shape)
    return np.asarray(np.where(norm > 1e-6, start / np.maximum(norm, 1e-6), small), np.float32)
