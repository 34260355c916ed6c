"""Text to the hashes that steps and events hold, and bounded memories of them.

Rules of the room: xxh3-64 of the UTF-8, cut to the column's width; 0 means "not given", so a hash
of 0 becomes 1. A text over its limit has no hash: REFUSED, and is not remembered. A memory that is
full is emptied, so it never costs more than its bound.
"""

import re
from collections.abc import Callable
from typing import Final

from xxhash import xxh3_64_intdigest

from stream.core.layout import TOKENS_MAX
from stream.wire.limits import ID_BYTES_MAX, TEXT_BYTES_MAX, fits

REFUSED: Final = -1
HASHES_MAX: Final = 1 << 16  # texts remembered per memory
WORD_CHARS_MAX: Final = 64

_WORD: Final = re.compile(r"[^\W_]+")


def id_hash(text: str) -> int:
    """Hash an event or item id to 64 bits."""
    return xxh3_64_intdigest(text.encode()) or 1


def text_hash(text: str) -> int:
    """Hash a category, channel, device or region to 32 bits."""
    return (xxh3_64_intdigest(text.encode()) & 0xFFFF_FFFF) or 1


def token_hash(word: str) -> int:
    """Hash a lower-cased query word to 16 bits."""
    return (xxh3_64_intdigest(word.encode()) & 0xFFFF) or 1


def query_words(query: str) -> list[str | None]:
    """First four distinct words of a query, lower-cased, None where there are fewer.

    Words are runs of letters and digits of any script, cut to 64 characters.
    """
    words: list[str] = _WORD.findall(query.lower())
    if len(query) > WORD_CHARS_MAX // 2:  # lower() may lengthen a text
        words = [word[:WORD_CHARS_MAX] for word in words]
    return [*dict.fromkeys(words), None, None, None, None][:TOKENS_MAX]


class Hashes:
    """text -> hash, computed once. None and "" are 0, a text over the limit REFUSED."""

    def __init__(self, hash_of: Callable[[str], int], bytes_max: int) -> None:
        self._known: dict[str | None, int] = {None: 0, "": 0}
        self._hash_of = hash_of
        self._bytes_max = bytes_max

    def one(self, text: str | None) -> int:
        """Hash one text."""
        value = self._known.get(text)
        return self._learn(text or "") if value is None else value

    def _learn(self, text: str) -> int:
        if not fits(text, self._bytes_max):
            return REFUSED
        if len(self._known) >= HASHES_MAX:
            self._known = {None: 0, "": 0}
        self._known[text] = value = self._hash_of(text)
        return value


class Memories:
    """The memories of one decoder."""

    def __init__(self) -> None:
        self.items = Hashes(id_hash, ID_BYTES_MAX)  # 64 bits
        self.texts = Hashes(text_hash, TEXT_BYTES_MAX)  # 32 bits
        self.words = Hashes(token_hash, 4 * WORD_CHARS_MAX)  # 16 bits
