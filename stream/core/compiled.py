"""How a hot loop is compiled: one decorator, so that every kernel has the same rules.

A compiled function is a plain loop over arrays, without `self`, that releases the interpreter lock.
Its plain twin is `function.py_func`; its oracle stands in tests/oracle. See docs/adr/0002.

What is compiled is kept on disk. The compiler forgets it when the function's own file changes, but
not when a function that it calls does: so each state of our sources has a folder of its own.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import numba

ROOT: Final = Path(__file__).parents[1]


def sources_digest(root: Path = ROOT) -> str:
    """Hash every source file below the package that holds compiled functions. About 5 ms."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder for this state of the sources."""
    base = os.environ.get("NUMBA_CACHE_DIR")
    if base:
        return Path(base) / sources_digest()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "forecart" / "numba" / sources_digest()


numba.config.CACHE_DIR = str(cache_folder())

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile on first use, kept on disk for the next start where there is a place to write."""
    kernel: F
    try:
        kernel = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError as error:
        # A read-only installation and a user without a home: slower to start, else the same.
        if "cannot cache" not in str(error):
            raise
        kernel = numba.njit(nogil=True, error_model="numpy")(function)
    return kernel
