"""Compiling works with and without a place to keep what was compiled."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numba.core.errors import NumbaError

from stream.core.compiled import compiled

SOURCE = """
def double(x):
    return 2 * x
"""


def test_without_a_place_to_write_it_is_compiled_all_the_same():
    """Code without a file has no cache folder, as has a read-only installation."""
    space = {}
    exec(compile(SOURCE, "<nowhere>", "exec"), space)  # noqa: S102 - our own text, without a file
    assert compiled(space["double"])(21) == 42


def test_what_is_compiled_is_kept_where_the_environment_says(tmp_path):
    module = tmp_path / "kernel.py"
    module.write_text(f"from stream.core.compiled import compiled\n@compiled{SOURCE}\ndouble(1)\n")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, str(module)], env=environment, timeout=60, check=True)
    assert list((tmp_path / "cache").rglob("kernel.double-*.nbc"))


@compiled
def _fill(numbers):
    for index in range(len(numbers)):
        numbers[index] = index


@compiled
def _fill_both(pair):
    _fill(pair[0])
    _fill(pair[1])


def test_nobody_counts_who_holds_an_array():
    """numba's own switch for it, whose name begins with an underscore."""
    first, second = np.zeros(3), np.zeros(2)
    _fill_both((first, second))
    assert [*first, *second] == [0, 1, 2, 0, 1]
    assert "NRT_" not in _fill_both.inspect_asm(_fill_both.signatures[0])


def test_a_kernel_that_makes_an_array_is_refused():
    def doubled(numbers, out):
        for index, value in enumerate(numbers * 2):
            out[index] = value

    with pytest.raises(NumbaError, match="NRT required but not enabled"):
        compiled(doubled)(np.zeros(3), np.zeros(3))
