"""Sessions and their prefixes from the files of a published next-item benchmark.

Rules of the room: plain text or gzip, told apart by the file's first bytes. Items are texts; a line
that is not of the form is refused with its number, nothing is skipped silently.

    sessions   one session a line, oldest first: item ids separated by spaces
    prefixes   prefix TAB target: item ids separated by spaces, then the item that came next
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from export.dataset.record import Integers

SESSION_ITEMS_MIN: Final = 2  # one to look at, one to foresee
_GZIP: Final = b"\x1f\x8b"


class FormError(ValueError):
    """A file is not what it should be. The message is one line."""


@dataclass(frozen=True, slots=True)
class Sequences:
    """Q sequences of N items in all, one after the other."""

    items: npt.NDArray[np.int32]  # (N,) index into the vocabulary, from 1; 0: unknown
    first: Integers  # (Q + 1,) where each begins; the last one ends at N

    def __len__(self) -> int:
        """Q."""
        return len(self.first) - 1

    @property
    def lengths(self) -> Integers:
        """(Q,)."""
        return np.diff(self.first)

    @property
    def last(self) -> npt.NDArray[np.int32]:
        """Last item of each: (Q,)."""
        return self.items[self.first[1:] - 1]

    def part(self, begin: int, end: int) -> "Sequences":
        """Take sequences begin .. end: views."""
        first = self.first[begin : end + 1]
        return Sequences(self.items[first[0] : first[-1]], first - first[0])

    def chosen(self, which: Integers) -> tuple["Sequences", Integers]:
        """Take some sequences: copies, and the index of each of their items in these."""
        lengths = self.lengths[which]
        first = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(first[-1]) - np.repeat(first[:-1], lengths)
        at = np.repeat(self.first[which], lengths) + within
        return Sequences(self.items[at], first), at


@dataclass(frozen=True, slots=True)
class Sessions:
    """What is trained on."""

    sequences: Sequences
    item_ids: list[str]  # index - 1 -> id, in order of first appearance
    digest: str  # of the file's text: a checkpoint belongs to one file


@dataclass(frozen=True, slots=True)
class Prefixes:
    """What is asked."""

    sequences: Sequences
    target: npt.NDArray[np.int32]  # (Q,) 0: unknown to training
    item_ids: list[str]  # (N,) as they stand in the file, unknown ones too


def read_sessions(path: Path) -> Sessions:
    """Read sessions of at least two items. Raises FormError."""
    index: dict[str, int] = {}
    items: list[int] = []
    first = [0]
    digest = hashlib.sha256()
    for number, line in _lines(path):
        words = line.split()
        if len(words) < SESSION_ITEMS_MIN:
            raise FormError(f"{path}, line {number}: {line[:60]!r} is no session of two items")
        digest.update(line.encode())
        items += [index.setdefault(word, len(index) + 1) for word in words]
        first.append(len(items))
    sequences = Sequences(np.array(items, np.int32), np.array(first, np.int64))
    return Sessions(sequences, list(index), digest.hexdigest())


def read_prefixes(path: Path, item_ids: list[str]) -> Prefixes:
    """Read prefixes and targets; `item_ids` are those of training. Raises FormError."""
    index = {item: number for number, item in enumerate(item_ids, 1)}
    texts: list[str] = []
    target: list[int] = []
    first = [0]
    for number, line in _lines(path):
        prefix, tab, after = line.partition("\t")
        words = prefix.split()
        answer = after.split()
        if not tab or not words or len(answer) != 1:
            raise FormError(f"{path}, line {number}: {line[:60]!r} is not `prefix TAB target`")
        texts += words
        first.append(len(texts))
        target.append(index.get(answer[0], 0))
    items = np.array([index.get(text, 0) for text in texts], np.int32)
    return Prefixes(Sequences(items, np.array(first, np.int64)), np.array(target, np.int32), texts)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Give the lines that hold something, numbered from 1. Raises FormError."""
    found = False
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        with (gzip.open if packed else open)(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                stripped = _text(path, number, line.rstrip(b"\r\n"))
                if stripped.strip():
                    found = True
                    yield number, stripped
    except (OSError, EOFError, zlib.error) as error:
        raise FormError(f"{path}: {error}") from error
    if not found:
        raise FormError(f"{path} is empty")


def _text(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise FormError(
            f"{path}, line {number}: byte {error.start + 1} is not UTF-8: {line[:60]!r}"
        ) from error
