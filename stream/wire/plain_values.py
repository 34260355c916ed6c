"""Values of plain events: hashes, times, prices and words from the cells of a scan.

Rules of the room: compiled; each says "unusual" where stream.wire.event must look itself. What they
compute is defined in wire.hashing, wire.times and wire.money. A cell is (kind, first byte, size) of
a text, or (INT, value, 0), or (DECIMAL, digits, how many behind the point): see wire.json_scan.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import TOKENS_MAX, Bytes, Record
from stream.wire.json_scan import ABSENT, DECIMAL, INT, NULL, TEXT, field_of, scan_number
from stream.wire.limits import PRICE_CENTS_MAX, QUERY_BYTES_MAX
from stream.wire.times import UNREAD, iso_ms
from stream.wire.xxh3 import BYTES_MAX, xxh3_64

Integers = npt.NDArray[np.int64]

WORD_BYTES_MAX: Final = 64
NO_HASH: Final = np.uint64(0)

_ITEM_ID: Final = field_of["item_id"]
_PRODUCT_ID: Final = field_of["product_id"]
_PRICE: Final = field_of["price"]
_QUERY: Final = field_of["query"]
_POWERS: Final = 10.0 ** np.arange(23)  # exact
_ONE: Final = np.uint64(1)
_LOW_32: Final = np.uint64(0xFFFFFFFF)
_LOW_16: Final = np.uint64(0xFFFF)


@compiled
def read_time(data: Bytes, found: Integers, field: int) -> int:
    """Epoch ms of a cell; UNREAD: neither a whole number nor a usual ISO text."""
    if found[field, 0] == INT:
        return int(found[field, 1])
    if found[field, 0] == TEXT:
        return iso_ms(data, found[field, 1], found[field, 1] + found[field, 2])
    return UNREAD


@compiled
def read_query(data: Bytes, found: Integers, words: Bytes, step: Record) -> bool:
    """Hash the first four distinct words of a query in ASCII; False: unusual."""
    if found[_QUERY, 0] != TEXT or found[_QUERY, 2] > QUERY_BYTES_MAX:
        return False
    at = found[_QUERY, 1]
    end = at + found[_QUERY, 2]
    for index in range(at, end):
        if data[index] >= 128:
            return False
    count = 0
    while at < end and count < TOKENS_MAX:
        word = words[count]
        size = 0
        while at < end:
            byte = data[at]
            if 65 <= byte <= 90:
                byte += 32
            if not (97 <= byte <= 122 or 48 <= byte <= 57):
                break
            if size < WORD_BYTES_MAX:
                word[size] = byte
                size += 1
            at += 1
        at += 1
        if size == 0:
            continue
        word[size:] = 0
        new = True
        for index in range(count):
            same = True
            for letter in range(WORD_BYTES_MAX):
                if words[index, letter] != word[letter]:
                    same = False
                    break
            if same:
                new = False
        if new:
            token = xxh3_64(word, 0, size) & _LOW_16
            step.tokens[count] = max(token, _ONE)
            count += 1
    return True


@compiled
def is_text(found: Integers, field: int) -> bool:
    """Whether a field that need not be given is a text that can be hashed here."""
    kind = found[field, 0]
    if kind == TEXT:
        return bool(found[field, 2] <= BYTES_MAX)
    return kind in (ABSENT, NULL)


@compiled
def id_hash_of(data: Bytes, found: Integers, field: int) -> np.uint64:
    """Hash of an id that must be given; 0: it is not, is empty or too long for here."""
    size = found[field, 2]
    if found[field, 0] != TEXT or size == 0 or size > BYTES_MAX:
        return NO_HASH
    return max(xxh3_64(data, found[field, 1], size), _ONE)


@compiled
def text_hash_of(data: Bytes, found: Integers, field: int) -> np.uint64:
    """Hash of a text that need not be given, 0 then; see `_is_text`."""
    if found[field, 0] != TEXT or found[field, 2] == 0:
        return NO_HASH
    return max(xxh3_64(data, found[field, 1], found[field, 2]) & _LOW_32, _ONE)


@compiled
def item_hash_of(data: Bytes, found: Integers) -> np.uint64:
    """Hash of item_id, else of product_id; 0: unusual."""
    if not is_text(found, _ITEM_ID) or not is_text(found, _PRODUCT_ID):
        return NO_HASH
    item = id_hash_of(data, found, _ITEM_ID)
    return item if item != NO_HASH else id_hash_of(data, found, _PRODUCT_ID)


@compiled
def cents_of(data: Bytes, found: Integers) -> int:
    """Price in cents as stream.wire.money has it; -1: not given, -2: unusual."""
    kind, digits, behind = found[_PRICE, 0], found[_PRICE, 1], found[_PRICE, 2]
    if kind in (ABSENT, NULL):
        return -1
    if kind == TEXT:
        end = digits + behind
        if behind == 0 or not 48 <= data[digits] <= 57:
            return -2
        after, digits, behind = scan_number(data, digits, end)
        if after != end:
            return -2
    elif kind not in (INT, DECIMAL):
        return -2
    price = digits / _POWERS[behind]  # both exact, so this is the nearest float64
    if price < 0 or price > PRICE_CENTS_MAX:
        return -2
    cents = math.floor(price * 100 + 0.5)
    return cents if cents <= PRICE_CENTS_MAX else -2


@compiled
def name_in(data: Bytes, found: Integers, field: int, names: Bytes) -> int:
    """Row of a table of names that a text is; -1: none, or no text."""
    first, size = found[field, 1], found[field, 2]
    if found[field, 0] != TEXT or size == 0 or size >= names.shape[1]:
        return -1
    for row in range(len(names)):
        same = names[row, size] == 0
        for index in range(size):
            if not same or names[row, index] != data[first + index]:
                same = False
                break
        if same:
            return row
    return -1
