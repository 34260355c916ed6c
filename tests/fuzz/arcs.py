"""Which ways through plain Python an input takes: pairs of lines, for chosen source files.

Rules of the room: compiled kernels and C have no lines. What is traced is the plain twin: the slow
reader of events, and the fast one's kernels loaded a second time without being compiled.
"""

import importlib
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any, Final

import numba

Arc = tuple[str, int, int]  # function, line before, line

# Loaded anew together, lowest first: what calls one of them must see the plain one.
KERNELS: Final = (
    "stream.wire.murmur2", "stream.wire.xxh3", "stream.wire.times", "stream.wire.json_scan",
    "stream.wire.plain_values", "stream.wire.plain_events",
)  # fmt: skip


class Tracer:
    """Records the arcs of a call."""

    def __init__(self, *files: str | None) -> None:
        self._files = frozenset(files)

    def of(self, call: Callable[[], object]) -> set[Arc]:
        """Run it; whatever it raises is not our business."""
        found: set[Arc] = set()
        before: dict[str, int] = {}

        def line(frame: FrameType, event: str, _: Any) -> Any:
            if event == "line":
                name, number = frame.f_code.co_name, frame.f_lineno
                found.add((name, before.get(name, 0), number))
                before[name] = number
            return line

        def enter(frame: FrameType, _: str, __: Any) -> Any:
            return line if frame.f_code.co_filename in self._files else None

        sys.settrace(enter)
        try:
            call()
        except Exception:  # noqa: BLE001, S110 the untraced run judges
            pass
        finally:
            sys.settrace(None)
        return found


def plain_kernels() -> list[ModuleType]:
    """Load the fast reader without compiling it; the modules in use stay what they are."""
    kept = {name: sys.modules.pop(name) for name in KERNELS if name in sys.modules}
    numba.config.DISABLE_JIT = True
    try:
        return [importlib.import_module(name) for name in KERNELS]
    finally:
        numba.config.DISABLE_JIT = False
        sys.modules.update(kept)
        for name, module in kept.items():
            package, _, short = name.rpartition(".")
            setattr(sys.modules[package], short, module)
