"""Texts out of a byte buffer, wherever they lie in it: one copy of them all, and a slice for each.

The gathering copy first, since a buffer is large and its texts are few of its bytes: keys between
rows of 2 kB.
"""

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled_short
from stream.core.intrinsics import copy_bytes
from stream.core.layout import Bytes

Integers = npt.NDArray[np.int64]


def cut(data: Bytes, begins: Integers, sizes: Integers) -> tuple[bytes, list[bytes]]:
    """Copy texts out: all after each other, and each by itself. 0.1 us a text."""
    ends = np.cumsum(sizes)
    out = np.empty(int(sizes.sum()), np.uint8)
    _gather(data, begins, ends, out)
    text = out.tobytes()
    pairs = zip((ends - sizes).tolist(), ends.tolist(), strict=True)
    return text, [text[begin:end] for begin, end in pairs]


@compiled_short
def _gather(data: Bytes, begins: Integers, ends: Integers, out: Bytes) -> None:
    """Copy texts after each other; text k ends at ends[k] of out."""
    at = 0
    for index in range(len(begins)):
        copy_bytes(out, at, data, begins[index], ends[index] - at)
        at = ends[index]
