"""Memory that was freed, given back to the system.

Rules of the room: a help, so nothing is raised. Only glibc has the call; elsewhere nothing is done.
"""

import ctypes


def give_back() -> None:
    """Give back what the C library keeps of freed memory. Some 10 ms; blocks.

    It keeps up to 64 MB and what lies below something that is still used: after a restore, the
    responses and buffers of a log of gigabytes.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
