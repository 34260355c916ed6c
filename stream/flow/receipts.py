"""Receipts: what became of each input offset, told per topic partition and commit.

Receipts of a topic partition tile its offsets; an offset that is no exception was predicted. One
with very many exceptions is cut in two, so that it stays below the broker's record limit.
"""

import itertools
from typing import Final, NamedTuple

import numpy as np

from stream.core.layout import TOPICS, Outcome, Records

EXCEPTIONS_MAX: Final = 10_000  # about 400 kB
_PREDICTED: Final = int(Outcome.PREDICTED)


class Receipt(NamedTuple):
    """One stretch of one topic partition; exceptions are (offset, outcome, source of the first)."""

    topic: int
    offset_first: int
    offset_next: int
    predicted: int
    exceptions: list[tuple[int, int, int]]


class Receipts:
    """Collects settled rows of one partition number until a commit takes them."""

    def __init__(self, offset_next: list[int]) -> None:
        self._offset_first = list(offset_next)
        self._parts: list[Records] = []

    def add(self, rows: Records) -> None:
        """Take settled rows, (r,) ROW."""
        self._parts.append(rows[["topic", "outcome", "offset", "source_first"]].copy())

    def take(self, offset_next: list[int]) -> list[Receipt]:
        """Return the receipts up to the positions given, and begin anew there."""
        rows = np.concatenate(self._parts) if self._parts else None
        self._parts = []
        found = []
        for topic in range(len(TOPICS)):
            first, end = self._offset_first[topic], offset_next[topic]
            if end > first:
                mine = rows[rows["topic"] == topic] if rows is not None else None
                found += _cut(topic, first, end, mine)
        self._offset_first = list(offset_next)
        return found


def _cut(topic: int, first: int, end: int, rows: Records | None) -> list[Receipt]:
    if rows is None or not len(rows):
        return [Receipt(topic, first, end, 0, [])]
    other = np.flatnonzero(rows["outcome"] != _PREDICTED)
    pieces = max(1, -(-len(other) // EXCEPTIONS_MAX))
    cuts = [0, *(int(other[k * EXCEPTIONS_MAX]) for k in range(1, pieces)), len(rows)]
    found = []
    for low, high in itertools.pairwise(cuts):
        piece = rows[low:high]
        odd = piece[piece["outcome"] != _PREDICTED]
        piece_end = end if high == len(rows) else int(rows["offset"][high])
        exceptions = odd[["offset", "outcome", "source_first"]].tolist()
        found.append(Receipt(topic, first, piece_end, len(piece) - len(odd), exceptions))
        first = piece_end
    return found
