"""Compiling works with and without a place to keep what was compiled."""

import os
import subprocess
import sys

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
