"""What stands for an instruction does what the instruction does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.core.compiled import compiled
from stream.core.intrinsics import copy_bytes


@compiled
def copied(out, at, data, begin, size):
    copy_bytes(out, at, data, begin, size)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_compiled_and_plain_copy_the_same(text, data):
    begin = data.draw(st.integers(0, len(text)))
    size = data.draw(st.integers(0, len(text) - begin))
    at = data.draw(st.integers(0, 30))
    source = np.frombuffer(text, np.uint8)
    plain, fast = np.full(300, 7, np.uint8), np.full(300, 7, np.uint8)
    copied.py_func(plain, at, source, begin, size)
    copied(fast, at, source, begin, size)
    assert plain.tobytes() == fast.tobytes()
    assert fast[at : at + size].tobytes() == text[begin : begin + size]
    assert (fast[:at] == 7).all()
    assert (fast[at + size :] == 7).all()


def test_a_row_of_two_dimensions_is_copied():
    rows = np.arange(12, dtype=np.uint8).reshape(3, 4)
    out = np.zeros(4, np.uint8)
    copied(out, 0, rows[2], 1, 3)
    assert out.tolist() == [9, 10, 11, 0]
