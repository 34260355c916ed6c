"""A JSON object's members as places in the bytes: the part of JSON that events are written in.

Rules of the room: compiled; never a value is made. What is read is valid JSON (RFC 8259) and in
plain form: no escapes in strings, UTF-8 checked, numbers of at most 15 digits without exponent, no
name twice, nesting of at most DEPTH_MAX. Anything else is "not plain", which says nothing about
whether it is good: stream.wire.event decides.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import Bytes

Integers = npt.NDArray[np.int64]

FIELDS: Final = (
    "event_id", "event_type", "event_time", "user_id", "anonymous_id", "sent_at", "received_at",
    "channel", "device", "region", "is_bot", "item_id", "product_id", "category", "price",
    "action", "query", "order_id", "items", "quantity",
)  # fmt: skip
field_of: Final = {name: index for index, name in enumerate(FIELDS)}

# Kinds of value: cells are (kind, first byte, size) of a text without its quotation marks, (INT,
# value, 0), (DECIMAL, digits as a whole number, how many stand behind the point).
ABSENT: Final = 0
NULL: Final = 1
FALSE: Final = 2
TRUE: Final = 3
TEXT: Final = 4
INT: Final = 5
DECIMAL: Final = 6
LIST: Final = 7  # its place: it is not read here

DONE: Final = 1
AT_LIST: Final = 2
NOT_PLAIN: Final = 0

DEPTH_MAX: Final = 32
DIGITS_MAX: Final = 15  # exact in a float64, whatever the digits

_WIDTH: Final = 16
_SIZES: Final = np.array([len(name) for name in FIELDS], np.int64)
_NAMES: Final = np.array([list(name.encode().ljust(_WIDTH, b"\0")) for name in FIELDS], np.uint8)
_ITEMS: Final = field_of["items"]
_TRUE: Final = np.frombuffer(b"true", np.uint8)
_FALSE: Final = np.frombuffer(b"false", np.uint8)
_NULL: Final = np.frombuffer(b"null", np.uint8)


@compiled
def scan_members(
    data: Bytes,
    at: int,
    end: int,
    wanted: npt.NDArray[np.uint8],  # (F,) 1: a field of this kind of object
    found: Integers,  # (F, 3) out: cells; ABSENT at first
    following: npt.NDArray[np.int8],  # (F + 1,) kept from object to object: which field came next
    place: Integers,  # (1,) out: behind the object, or at the list
    inside: bool,  # False: `at` is behind "{"; True: behind a value
) -> int:
    """Read members up to the end (DONE), to the value of `items` (AT_LIST), or give up."""
    last = len(wanted)
    if not inside:
        at = skip_space(data, at, end)
        if at < end and data[at] == 125:  # }
            place[0] = at + 1
            return DONE
    while True:
        if inside:
            at = skip_space(data, at, end)
            if at >= end:
                return NOT_PLAIN
            if data[at] == 125:
                place[0] = at + 1
                return DONE
            if data[at] != 44:  # ,
                return NOT_PLAIN
            at = skip_space(data, at + 1, end)
        inside = True
        if at >= end or data[at] != 34:  # "
            return NOT_PLAIN
        first = at + 1
        at = text_end(data, first, end)
        if at < 0:
            return NOT_PLAIN
        field = _field(data, first, at - first, following[last])
        if field >= 0:
            following[last] = field
            last = field
            if wanted[field] == 0:
                field = -1
            elif found[field, 0] != ABSENT:
                return NOT_PLAIN
        at = skip_space(data, at + 1, end)
        if at >= end or data[at] != 58:  # :
            return NOT_PLAIN
        at = skip_space(data, at + 1, end)
        if at >= end:
            return NOT_PLAIN
        if data[at] == 91 and field == _ITEMS:
            found[field, 0] = LIST
            place[0] = at
            return AT_LIST
        if data[at] == 91 or data[at] == 123:
            at = -1 if field >= 0 else _skip_nested(data, at, end, found)
        else:
            at = _scalar(data, at, end, found, field)
        if at < 0:
            return NOT_PLAIN


@compiled
def skip_space(data: Bytes, at: int, end: int) -> int:
    """Pass over white space."""
    while at < end and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@compiled
def text_end(data: Bytes, at: int, end: int) -> int:
    """Find the closing quotation mark; -1: an escape, a control character or no UTF-8 before it."""
    while at < end:
        byte = data[at]
        if byte == 34:
            return at
        if byte < 32 or byte == 92:
            return -1
        if byte < 128:
            at += 1
            continue
        size = _utf8_size(data, at, end)
        if size == 0:
            return -1
        at += size
    return -1


@compiled
def _utf8_size(data: Bytes, at: int, end: int) -> int:
    """Bytes of the character at a place; 0: overlong, a surrogate, too high, or broken."""
    byte = data[at]
    if 0xC2 <= byte <= 0xDF:
        size, low, high = 2, 0x80, 0xBF
    elif 0xE0 <= byte <= 0xEF:
        size = 3
        low = 0xA0 if byte == 0xE0 else 0x80
        high = 0x9F if byte == 0xED else 0xBF
    elif 0xF0 <= byte <= 0xF4:
        size = 4
        low = 0x90 if byte == 0xF0 else 0x80
        high = 0x8F if byte == 0xF4 else 0xBF
    else:
        return 0
    if at + size > end or data[at + 1] < low or data[at + 1] > high:
        return 0
    for index in range(2, size):
        if data[at + index] < 0x80 or data[at + index] > 0xBF:
            return 0
    return size


@compiled
def _field(data: Bytes, first: int, size: int, guess: int) -> int:
    if guess >= 0 and _is_named(data, first, size, guess):
        return guess
    for field in range(len(_SIZES)):
        if _is_named(data, first, size, field):
            return field
    return -1


@compiled
def _is_named(data: Bytes, first: int, size: int, field: int) -> bool:
    if size != _SIZES[field]:
        return False
    for index in range(size):  # noqa: SIM110 - a kernel
        if data[first + index] != _NAMES[field, index]:
            return False
    return True


@compiled
def _scalar(data: Bytes, at: int, end: int, found: Integers, field: int) -> int:
    """Read a value into its cell (field -1: into none); the place behind it, -1: not plain."""
    byte = data[at]
    kind, one, two = 0, 0, 0
    if byte == 34:
        kind, one = TEXT, at + 1
        at = text_end(data, at + 1, end)
        if at < 0:
            return -1
        two = at - one
        at += 1
    elif byte == 116:
        kind, at = TRUE, _literal(data, at, end, _TRUE)
    elif byte == 102:
        kind, at = FALSE, _literal(data, at, end, _FALSE)
    elif byte == 110:
        kind, at = NULL, _literal(data, at, end, _NULL)
    else:
        at, one, two = scan_number(data, at, end)
        kind = INT if two == 0 else DECIMAL
    if at >= 0 and field >= 0:
        found[field, 0] = kind
        found[field, 1] = one
        found[field, 2] = two
    return at


@compiled
def _literal(data: Bytes, at: int, end: int, word: Bytes) -> int:
    if end - at < len(word):
        return -1
    for index in range(len(word)):
        if data[at + index] != word[index]:
            return -1
    return at + len(word)


@compiled
def scan_number(data: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """Read a number: the place behind it (-1: not plain), its digits, how many behind the point."""
    negative = at < end and data[at] == 45
    if negative:
        at += 1
    first = at
    digits = 0
    while at < end and 48 <= data[at] <= 57 and at - first <= DIGITS_MAX:
        digits = digits * 10 + (data[at] - 48)
        at += 1
    count = at - first
    if count == 0 or (count > 1 and data[first] == 48):
        return -1, 0, 0
    behind = 0
    if at < end and data[at] == 46:
        at += 1
        point = at
        while at < end and 48 <= data[at] <= 57 and count + at - point <= DIGITS_MAX:
            digits = digits * 10 + (data[at] - 48)
            at += 1
        behind = at - point
        if behind == 0:
            return -1, 0, 0
    if count + behind > DIGITS_MAX or (negative and digits == 0):
        return -1, 0, 0
    if at < end and (data[at] == 101 or data[at] == 69 or data[at] == 46 or 48 <= data[at] <= 57):
        return -1, 0, 0
    return at, -digits if negative else digits, behind


@compiled
def _skip_nested(data: Bytes, at: int, end: int, found: Integers) -> int:
    """Pass over an array or object, checked; the place behind it, -1: not plain."""
    opened = 0  # one bit a level, from below: 1 an object
    depth = 0
    value_next = True
    while True:
        at = skip_space(data, at, end)
        if at >= end:
            return -1
        byte = data[at]
        if value_next and (byte in (91, 123)):
            if depth == DEPTH_MAX:
                return -1
            opened = opened << 1 | (byte == 123)
            depth += 1
            at = skip_space(data, at + 1, end)
            if at >= end:
                return -1
            if data[at] != (125 if byte == 123 else 93):
                if byte == 123:
                    at = _skip_name(data, at, end)
                    if at < 0:
                        return -1
                continue
            byte = data[at]
            value_next = False
        elif value_next:
            at = _scalar(data, at, end, found, -1)
            if at < 0:
                return -1
            value_next = False
            continue
        if byte == 44:
            at = skip_space(data, at + 1, end)
            if opened & 1:
                at = _skip_name(data, at, end)
                if at < 0:
                    return -1
            value_next = True
        elif byte == (125 if opened & 1 else 93):
            opened >>= 1
            depth -= 1
            at += 1
            if depth == 0:
                return at
        else:
            return -1


@compiled
def _skip_name(data: Bytes, at: int, end: int) -> int:
    """Pass over a member's name and colon."""
    if at >= end or data[at] != 34:
        return -1
    at = text_end(data, at + 1, end)
    if at < 0:
        return -1
    at = skip_space(data, at + 1, end)
    return at + 1 if at < end and data[at] == 58 else -1
