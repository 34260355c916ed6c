"""Change inputs: bytes as bytes, and events as JSON objects with members put out of order.

Rules of the room: all chance comes from the generator that is given, so a seed tells the whole
campaign. A change may give anything, good events included.
"""

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tests.fuzz.tokens import ALL, NAMES, VALUES

BYTES_MAX: Final = 16_384  # longer inputs are cut: time goes into many, not into long ones
_MEMBER: Final = re.compile(
    rb'"(\w+)"\s*:\s*("(?:[^"\\]|\\.)*"|\[[^\]]*\]|\{[^}]*\}|[^,\]}\s]+)', re.DOTALL
)

Change = Callable[[Random, bytes, bytes], bytes]


def change_bytes(rng: Random, value: bytes, other: bytes, tokens: Sequence[bytes] = ALL) -> bytes:
    """Flip, cut, copy or put in, one to four times; `other` is another input to take from."""
    data = bytearray(value)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.choice(
                (0, 9, 10, 32, 34, 44, 45, 48, 58, 91, 92, 93, 123, 125, 127, 255)
            )
        elif kind == 2:
            data[at:at] = rng.choice(tokens)
        elif kind == 3:
            data[at : at + rng.randrange(12)] = rng.choice(tokens)
        elif kind == 4:
            del data[at : at + rng.choice((1, 1, 2, 4, 16, 64))]
        elif kind == 5:
            size = rng.choice((1, 3, 10, 40))
            data[at:at] = data[at : at + size] * rng.choice((1, 1, 2, 9))
        elif kind == 6 and other:
            start = rng.randrange(len(other))
            data[at : at + rng.choice((0, 8, 64))] = other[start : start + rng.choice((4, 16, 99))]
        elif kind == 7 and rng.random() < 0.2:
            del data[at:]
    return bytes(data[:BYTES_MAX])


def change_members(rng: Random, value: bytes, other: bytes) -> bytes:
    """Give members other values or names, leave some out, repeat some, put in others."""
    members = [match.span() + match.span(2) for match in _MEMBER.finditer(value)]
    if not members:
        return change_bytes(rng, value, other)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        start, end, first, last = rng.choice(members)
        if last > len(value):
            break  # an earlier change has moved what follows
        kind = rng.randrange(6)
        if kind <= 1:
            return value[:first] + rng.choice(VALUES) + value[last:]
        if kind == 2:
            value = value[:start] + b'"' + rng.choice(NAMES) + b'":' + value[first:]
        elif kind == 3:
            value = value[:start] + value[end:].removeprefix(b",")
        elif kind == 4:
            token = b'"' + rng.choice(NAMES) + b'":' + rng.choice(VALUES) + b","
            value = value[:start] + token + value[start:]
        else:
            text = value[first:last]
            value = value[:first] + _written_otherwise(rng, text) + value[last:]
    return value[:BYTES_MAX]


def write_otherwise(rng: Random, value: bytes, _: bytes) -> bytes:
    """Write one to three values in another way, which mostly leaves a good event good."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        members = list(_MEMBER.finditer(value))
        if not members:
            break
        first, last = rng.choice(members).span(2)
        value = value[:first] + _written_otherwise(rng, value[first:last]) + value[last:]
    return value[:BYTES_MAX]


def _written_otherwise(rng: Random, text: bytes) -> bytes:
    """Write a value in another way that mostly means the same."""
    if text[:1] == b'"' and len(text) > 2:
        at = rng.randrange(1, len(text) - 1)
        if text[at] < 128 and text[at] not in b'"\\':
            return text[:at] + b"\\u%04x" % text[at] + text[at + 1 :]
        return text
    if text[-1:].isdigit():
        return text + rng.choice((b".0", b"e0", b"E+0", b"0", b".000000000000000000001"))
    return rng.choice((b" ", b"\n\t")) + text + rng.choice((b"", b" ", b"\r"))
