"""In what order training sees its sequences, and at what rate it learns along the way.

Rules of the room: numpy only; all chance comes from the generator given.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from export.dataset.record import Integers

POOL_BATCHES: Final = 32  # sorted by length together: little padding, still well mixed


def cosine(batches: int, warm_up: float, rate_end: float) -> Callable[[int], float]:
    """Return the share of the rate after so many batches: up in a line, down along a cosine.

    `warm_up` is a share of the batches, `rate_end` the share of the rate at the end.
    """
    warm = max(1, int(warm_up * batches))

    def share(done: int) -> float:
        if done < warm:
            return (done + 1) / warm
        along = (done - warm) / max(1, batches - warm)
        return rate_end + (1 - rate_end) * 0.5 * (1 + float(np.cos(np.pi * along)))

    return share


def batches_by_length(
    lengths: Integers, sequences: Integers, size: int, rng: np.random.Generator
) -> list[Integers]:
    """Shuffle, sort by length inside pools, longest first, cut, shuffle the batches."""
    order = rng.permutation(sequences)
    parts = []
    for first in range(0, len(order), POOL_BATCHES * size):
        pool = order[first : first + POOL_BATCHES * size]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        parts += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [parts[index] for index in rng.permutation(len(parts))]
