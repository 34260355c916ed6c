"""The best K of V scores per row, exactly, leaving out the items of the window.

Rules of the room: compiled loops on arrays. ONNX Runtime's TopK over K + W candidates costs 14 to
30 us a row of 2,000 items where this costs 1.5, so the graph ends at the scores (docs/adr/0010).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.model.lookup import HashMap, find

BLOCK: Final = 32  # scores per block; their peak says whether the block is looked at

_SIGN = np.int32(31)
_BITS = np.int32(0x7FFFFFFF)
_LOWEST = np.int32(-(2**31))


def leave_out(
    logits: npt.NDArray[np.float32], recent: npt.NDArray[np.uint64], items: HashMap
) -> None:
    """Set the scores of recent items to -inf, in place. Column j is item index j + 1."""
    _leave_out(logits, recent, items.keys, items.values)


def select_top(
    logits: npt.NDArray[np.float32],
    index: npt.NDArray[np.int32],  # (B, K) out: item index from 1; 0: fewer than K items
    score: npt.NDArray[np.float32],  # (B, K) out: descending; -inf where index is 0
) -> None:
    """Write the best K of each row; of equal scores the lower index is first; -0.0 is below 0.0."""
    blocks = logits.shape[1] // BLOCK
    peak = np.empty(blocks, np.int32)
    best = np.empty(index.shape[1], np.int32)
    _select_top(logits, logits.view(np.int32), index, score, peak, best, BLOCK)


@compiled
def _leave_out(
    logits: npt.NDArray[np.float32],
    recent: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint64],
    values: npt.NDArray[np.int32],
) -> None:
    for row in range(len(recent)):
        for place in range(recent.shape[1]):
            item = recent[row, place]
            if item != 0:
                known = find(keys, values, item)
                if known > 0:
                    logits[row, known - 1] = -np.inf


@compiled
def _select_top(
    logits: npt.NDArray[np.float32],  # (B, V)
    bits: npt.NDArray[np.int32],  # (B, V) the same bytes
    index: npt.NDArray[np.int32],
    score: npt.NDArray[np.float32],
    peak: npt.NDArray[np.int32],  # (V // BLOCK,) scratch
    best: npt.NDArray[np.int32],  # (K,) scratch
    size: int,  # BLOCK; as a constant the compiler unrolls the loop and gives vectors up
) -> None:
    """Clever: integers that order as the floats do let the compiler use vector instructions.

    The K-th largest peak is a bound below which no score can be among the best K, so few blocks
    are read twice. The plain twin is in tests/model/test_selection.py.
    """
    width = logits.shape[1]
    wanted = index.shape[1]
    blocks = len(peak)
    for row in range(len(logits)):
        values, ordered = logits[row], bits[row]
        indices, scores = index[row], score[row]
        for block in range(blocks):
            first = block * size
            highest = _LOWEST
            for place in range(size):
                bit = ordered[first + place]
                highest = max(highest, bit ^ ((bit >> _SIGN) & _BITS))
            peak[block] = highest
        bound = _kth_largest(peak, best)
        indices[:] = 0
        scores[:] = -np.inf
        for block in range(blocks + 1):
            if block < blocks and peak[block] < bound:
                continue
            for place in range(block * size, min(width, (block + 1) * size)):
                bit, value = ordered[place], values[place]
                below = (bit ^ ((bit >> _SIGN) & _BITS)) < bound
                if below or value <= scores[wanted - 1]:
                    continue
                rank = wanted - 1
                while rank > 0 and scores[rank - 1] < value:
                    scores[rank] = scores[rank - 1]
                    indices[rank] = indices[rank - 1]
                    rank -= 1
                scores[rank] = value
                indices[rank] = place + 1


@compiled
def _kth_largest(values: npt.NDArray[np.int32], best: npt.NDArray[np.int32]) -> int:
    """Return the K-th largest value, K = len(best); the lowest integer when there are fewer."""
    wanted = len(best)
    if len(values) < wanted:
        return int(_LOWEST)
    for rank in range(wanted):
        best[rank] = _LOWEST
    for value in values:
        if value <= best[wanted - 1]:
            continue
        rank = wanted - 1
        while rank > 0 and best[rank - 1] < value:
            best[rank] = best[rank - 1]
            rank -= 1
        best[rank] = value
    return int(best[wanted - 1])
