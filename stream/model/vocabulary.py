"""What a bundle knows by name: items, categories, contexts, popular items, and their indices.

Rules of the room: texts in a JSON file, hashes and look-up tables made on loading. The hashes are
those of the steps (stream.core.layout), so a ring of steps outlives every vocabulary.

Rows of the item table: 0 no item; 1 .. V known items; then `unknown_items` rows, one of which an
unknown item falls on by its hash. Categories likewise. Contexts: 0 not given, 1 unknown, then the
known channels, devices and regions.
"""

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import xxhash

from stream.model.lookup import HashMap, hash_map
from stream.model.manifest import BundleError

ROWS_MAX: Final = 1 << 24  # of a table's part
CONTEXT_FIELDS: Final = ("channels", "devices", "regions")  # columns of Plan.context
_CONTEXT_SHIFT: Final = 32


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: UTF-8 JSON. Order gives the indices."""

    items: list[str]
    categories: list[str]
    channels: list[str]
    devices: list[str]
    regions: list[str]
    popular: list[int]  # indices of items (from 1), most popular first
    unknown_items: int  # rows for unknown items, at least 1
    unknown_categories: int
    token_buckets: int  # query tokens are hashed into so many rows


class Vocabulary:
    """Texts, and the maps from hashes to rows.

    item_map: xxh3-64 -> 1 .. V. category_map: xxh3 low 32 bits -> 1 .. C.
    context_map: field << 32 | xxh3 low 32 bits -> 2 ..
    item_ids, item_json: index -> text, and the same as encoded JSON; index 0: "" and null.
    popular: (P,) int32 indices of items.
    """

    __slots__ = (
        "category_map",
        "context_map",
        "digest",
        "item_ids",
        "item_json",
        "item_map",
        "popular",
        "texts",
    )

    def __init__(self, texts: Texts, digest: str) -> None:
        _check(texts)
        self.texts = texts
        self.digest = digest
        self.item_ids: list[str] = ["", *texts.items]
        encode = msgspec.json.encode
        self.item_json: list[bytes] = [b"null", *(encode(text) for text in texts.items)]
        self.popular: npt.NDArray[np.int32] = np.array(texts.popular, np.int32)
        try:
            self.item_map: HashMap = hash_map(_numbered(texts.items, 1, hash_64))
            self.category_map: HashMap = hash_map(_numbered(texts.categories, 1, hash_32))
            self.context_map: HashMap = hash_map(_contexts(texts))
        except ValueError as error:
            raise BundleError(f"vocabulary: {error}") from error

    @property
    def items_count(self) -> int:
        """V: known items."""
        return len(self.texts.items)

    @property
    def item_rows(self) -> int:
        """Rows of the item table, no item and unknown ones included."""
        return 1 + len(self.texts.items) + self.texts.unknown_items

    @property
    def category_rows(self) -> int:
        """Rows for categories in the side table, none and unknown ones included."""
        return 1 + len(self.texts.categories) + self.texts.unknown_categories

    @property
    def context_rows(self) -> int:
        """Rows of the context table, not given and unknown included."""
        texts = self.texts
        return 2 + len(texts.channels) + len(texts.devices) + len(texts.regions)

    def item_index(self, item_id: str) -> int:
        """Index of a known item, 0 otherwise. For reports; hot loops use the map."""
        try:
            return self.item_ids.index(item_id, 1)
        except ValueError:
            return 0


def read_vocabulary(data: bytes) -> Vocabulary:
    """Decode a vocabulary file. Raises BundleError."""
    try:
        texts = msgspec.json.decode(data, type=Texts)
    except (ValueError, RecursionError) as error:  # DecodeError, UnicodeDecodeError: ValueErrors
        raise BundleError(f"vocabulary: {error}") from error
    return Vocabulary(texts, hashlib.sha256(data).hexdigest())


def hash_64(text: str) -> int:
    """Hash of an item id, as in STEP.item: 0 stands for no item, so a hash of 0 becomes 1."""
    return xxhash.xxh3_64_intdigest(text.encode()) or 1


def hash_32(text: str) -> int:
    """Hash of a category, channel, device or region, as in STEP.category and Plan.context."""
    return (xxhash.xxh3_64_intdigest(text.encode()) & 0xFFFF_FFFF) or 1


def _numbered(texts: list[str], first: int, hash_of: Callable[[str], int]) -> list[tuple[int, int]]:
    return [(hash_of(text), index) for index, text in enumerate(texts, first)]


def _contexts(texts: Texts) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for field, name in enumerate(CONTEXT_FIELDS):
        for text in getattr(texts, name):
            pairs.append((field << _CONTEXT_SHIFT | hash_32(text), 2 + len(pairs)))
    return pairs


def _check(texts: Texts) -> None:
    rules = (
        (len(texts.items) >= 1, "no items"),
        *(
            (
                1 <= getattr(texts, name) <= ROWS_MAX,
                f"{name}={getattr(texts, name)} must be at least 1 and at most {ROWS_MAX}",
            )
            for name in ("unknown_items", "unknown_categories", "token_buckets")
        ),
        (
            all(1 <= index <= len(texts.items) for index in texts.popular),
            f"popular items must be 1 to {len(texts.items)}",
        ),
    )
    for holds, rule in rules:
        if not holds:
            raise BundleError(f"vocabulary: {rule}")
