"""Where the item table starts: items that are looked at together lie together.

Rules of the room: from training rows alone, seeded by the number of rows. Positive pointwise mutual
information of pairs of items within a few steps of each other, factored by its largest eigenvalues
(Levy and Goldberg, 2014): the place to which thousands of gradient steps would have to carry random
rows. Many items: the matrix stays sparse, the factors are found by subspace iteration (Halko,
Martinsson and Tropp, 2011). One thread: on several, the factors' last bits are not the same twice.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from export.dataset.record import Integers

PAIR_STEPS: Final = 3  # how far apart a pair may stand
DENSE_ITEMS_MAX: Final = 6_000  # beyond it the dense matrix is too large
_ITERATIONS: Final = 4
_SPARE_COLUMNS: Final = 16  # more than asked, so that the last ones asked come out well

Doubles = npt.NDArray[np.float64]


def item_start(item: Integers, user: Integers, rows: int, width: int) -> npt.NDArray[np.float32]:
    """Return (rows, width) of length 1. `item` 0 means none; an item without pairs: by chance."""
    order = np.lexsort((np.arange(len(item)), user))
    order = order[item[order] > 0]
    ppmi = _ppmi(item[order], user[order], rows)
    factor = _dense if rows <= DENSE_ITEMS_MAX else _subspace
    with threadpool_limits(1):
        values, vectors = factor(ppmi, width)
    start = np.zeros((rows, width))
    start[:, : len(values)] = vectors * np.sqrt(np.maximum(values, 0))
    norm = np.linalg.norm(start, axis=1, keepdims=True)
    chance = np.random.default_rng(rows).normal(0, 1, start.shape)
    chance /= np.linalg.norm(chance, axis=1, keepdims=True)
    return np.asarray(np.where(norm > 1e-6, start / np.maximum(norm, 1e-6), chance), np.float32)


def _ppmi(held: Integers, owner: Integers, rows: int) -> sparse.csr_array:
    """Weigh pairs by 1 / distance, compare with chance: (rows, rows), symmetric, from 0."""
    pairs = sparse.csr_array((rows, rows))
    for distance in range(1, PAIR_STEPS + 1):
        same = owner[distance:] == owner[:-distance]
        at = (held[:-distance][same], held[distance:][same])
        weight = np.full(len(at[0]), 1.0 / distance)
        pairs = pairs + sparse.csr_array((weight, at), shape=(rows, rows))
    pairs = sparse.csr_array(pairs + pairs.T)
    pairs.setdiag(0)
    pairs.eliminate_zeros()
    share = np.asarray(pairs.sum(axis=1)) ** 0.75
    scale = pairs.sum() / max(share.sum() ** 2, 1e-12)
    row = np.repeat(np.arange(rows), np.diff(pairs.indptr))
    expected = share[row] * share[pairs.indices] * scale
    pairs.data = np.maximum(np.log(pairs.data / np.maximum(expected, 1e-12)), 0)
    return pairs


def _dense(ppmi: sparse.csr_array, width: int) -> tuple[Doubles, Doubles]:
    values, vectors = np.linalg.eigh(ppmi.toarray())
    best = np.argsort(-values)[:width]
    return values[best], vectors[:, best]


def _subspace(ppmi: sparse.csr_array, width: int) -> tuple[Doubles, Doubles]:
    rows = ppmi.shape[0]
    basis = np.random.default_rng(rows).normal(0, 1, (rows, width + _SPARE_COLUMNS))
    for _ in range(_ITERATIONS):
        basis = np.linalg.qr(ppmi @ basis)[0]
    values, turned = np.linalg.eigh(basis.T @ (ppmi @ basis))
    best = np.argsort(-values)[:width]
    return values[best], basis @ turned[:, best]
