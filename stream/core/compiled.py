"""How a hot loop is compiled: one decorator, so that every kernel has the same rules.

A compiled function is a plain loop over arrays, without `self`, that releases the interpreter lock.
It makes no array: what it needs, also as scratch, its caller gives it. So numba need not count who
holds which array (`_nrt`), which took a tenth of the worker's time (docs/adr/0020), and refuses to
compile a kernel that makes one.
Its plain twin is `function.py_func`; its oracle stands in tests/oracle. See docs/adr/0002.

What is compiled is kept on disk, in a folder that stream/kernel_cache.py chooses.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile on first use, kept on disk for the next start where there is a place to write."""
    return _compile(function, nogil=True)


def compiled_short(function: F) -> F:
    """Compile a kernel of some ten microseconds, which keeps the interpreter's lock.

    To get the lock back costs a wait of up to the switch interval while another thread decodes.
    """
    return _compile(function, nogil=False)


def _compile(function: F, *, nogil: bool) -> F:
    options = {"nogil": nogil, "error_model": "numpy", "_nrt": False}
    kernel: F
    try:
        kernel = numba.njit(cache=True, **options)(function)
    except RuntimeError as error:
        # A read-only installation and a user without a home: slower to start, else the same.
        if "cannot cache" not in str(error):
            raise
        kernel = numba.njit(**options)(function)
    return kernel
