"""A map from 64-bit hashes to small integers that compiled loops can read.

Rules of the room: open addressing in two arrays, at most half full, built once, never changed.
A look-up costs about 10 ns when the table is in cache. Key 0 means "nothing" and is never stored.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


class HashMap(NamedTuple):
    """Power-of-two arrays; an empty place has key 0."""

    keys: npt.NDArray[np.uint64]  # (C,)
    values: npt.NDArray[np.int32]  # (C,)


def hash_map(pairs: Iterable[tuple[int, int]]) -> HashMap:
    """Build a map. Raises ValueError on key 0 and on a key that comes twice."""
    held = list(pairs)
    size = 16
    while size < 2 * len(held):
        size *= 2
    keys = np.zeros(size, np.uint64)
    values = np.zeros(size, np.int32)
    _fill(
        keys,
        values,
        np.array([key for key, _ in held], np.uint64),
        np.array([value for _, value in held], np.int32),
    )
    if int(np.count_nonzero(keys)) != len(held):
        raise ValueError(f"{len(held)} keys are not distinct, or one is 0")
    return HashMap(keys, values)


@compiled
def find(keys: npt.NDArray[np.uint64], values: npt.NDArray[np.int32], key: np.uint64) -> int:
    """Return the value of a key, or -1."""
    mask = np.uint64(len(keys) - 1)
    place = ((key * _SPREAD) >> _HALF) & mask
    while keys[place] != 0:
        if keys[place] == key:
            return int(values[place])
        place = (place + np.uint64(1)) & mask
    return -1


@compiled
def _fill(
    keys: npt.NDArray[np.uint64],
    values: npt.NDArray[np.int32],
    new_keys: npt.NDArray[np.uint64],
    new_values: npt.NDArray[np.int32],
) -> None:
    mask = np.uint64(len(keys) - 1)
    for index in range(len(new_keys)):
        key = new_keys[index]
        place = ((key * _SPREAD) >> _HALF) & mask
        while keys[place] != 0 and keys[place] != key:
            place = (place + np.uint64(1)) & mask
        keys[place] = key
        values[place] = new_values[index]
