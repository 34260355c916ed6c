"""The kernel's xxh3-64 against the library's, at every length that it takes."""

import random

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from stream.wire.xxh3 import BYTES_MAX, xxh3_64


@pytest.mark.parametrize("size", range(BYTES_MAX + 1))
def test_as_the_library(size):
    rng = random.Random(size)
    for _ in range(5):
        data = rng.randbytes(size + 5)
        array = np.frombuffer(data, np.uint8)
        assert int(xxh3_64(array, 3, size)) == xxh3_64_intdigest(data[3 : 3 + size])
