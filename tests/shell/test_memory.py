"""Freed memory goes back to the system."""

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest

from stream.shell.memory import give_back

MIB = 1 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_what_was_freed_below_something_used_is_given_back() -> None:
    parts = [np.ones(100_000, np.uint8) for _ in range(1_000)]
    last = parts[-1]
    del parts
    before = resident_bytes()
    give_back()
    assert resident_bytes() < before - 50 * MIB
    assert last.all()


def test_without_the_call_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    give_back()
