"""What became of each input offset since the last commit, by topic: the stuff of the receipts."""

from typing import NamedTuple

import numpy as np

from stream.core.layout import TOPICS, Records
from stream.core.results import ROW


class Stretch(NamedTuple):
    """The offsets of one topic that a commit covers, and the rows among them in offset order."""

    topic: int
    offset_first: int
    offset_next: int
    rows: Records  # (r,) ROW


class Receipts:
    """Collects settled rows of one partition number; stretches of a topic tile its offsets."""

    def __init__(self, offset_next: list[int]) -> None:
        self._offset_first = list(offset_next)
        self._parts: list[Records] = []

    def add(self, rows: Records) -> None:
        """Take settled rows, (r,) ROW."""
        self._parts.append(rows)

    def take(self, offset_next: list[int]) -> list[Stretch]:
        """Return the stretches up to the positions given, and begin anew there."""
        rows = np.concatenate(self._parts, dtype=ROW) if self._parts else np.zeros(0, ROW)
        self._parts = []
        stretches = [
            Stretch(
                topic, self._offset_first[topic], offset_next[topic], rows[rows["topic"] == topic]
            )
            for topic in range(len(TOPICS))
            if offset_next[topic] > self._offset_first[topic]
        ]
        self._offset_first = list(offset_next)
        return stretches
