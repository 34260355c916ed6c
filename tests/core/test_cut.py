"""Texts cut out of a buffer are its slices, wherever they lie."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.core.cut import _gather, cut


@given(st.binary(max_size=300), st.data())
def test_each_is_its_slice(buffer, data):
    begins = data.draw(st.lists(st.integers(0, len(buffer)), max_size=9))
    sizes = [data.draw(st.integers(0, len(buffer) - begin)) for begin in begins]
    expected = [buffer[at : at + size] for at, size in zip(begins, sizes, strict=True)]
    source = np.frombuffer(buffer, np.uint8)
    firsts, counts = np.array(begins, np.int64), np.array(sizes, np.int64)
    assert cut(source, firsts, counts) == (b"".join(expected), expected)
    plain = np.empty(sum(sizes), np.uint8)
    _gather.py_func(source, firsts, np.cumsum(counts), plain)
    assert plain.tobytes() == b"".join(expected)
