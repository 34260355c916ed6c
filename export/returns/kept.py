"""Answers of a run that was cut short: kept one by one, so that the next run goes on from there.

Rules of the room: a file is complete or not there. What is kept belongs to one data file and one
set of options; another run does not touch it.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from export.returns.purchases import Doubles

SETTINGS: Final = "settings.json"
ANSWERS: Final = "answers"


class Kept:
    """Arrays by name in a folder."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open a folder or begin one. Raises ValueError where it holds another run."""
        text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
        path = folder / SETTINGS
        if path.exists():
            if path.read_text() != text:
                raise ValueError(
                    f"{folder} holds a run of other data or options ({SETTINGS}): take another"
                    " folder, or delete it"
                )
        elif folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty and holds no run of this benchmark")
        self._answers = folder / ANSWERS
        self._answers.mkdir(parents=True, exist_ok=True)
        _write(path, text.encode())

    def answer(self, name: str, make: Callable[[], Doubles]) -> Doubles:
        """Give an array, made now or by a run before. Raises ValueError on a damaged file."""
        path = self._answers / f"{name}.f8"
        if not path.exists():
            _write(path, np.ascontiguousarray(make(), np.float64).tobytes())
        data = path.read_bytes()
        if len(data) % 8:
            raise ValueError(f"{path} is damaged: delete it")
        return np.frombuffer(data, np.float64)


def _write(path: Path, data: bytes) -> None:
    made = path.with_name(f".{path.name}.{os.getpid()}")
    made.write_bytes(data)
    made.replace(path)
