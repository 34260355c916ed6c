"""What inputs are changed with: names, values and pieces of JSON over which readers stumble."""

from typing import Final

from stream.wire.json_scan import FIELDS
from stream.wire.limits import TIME_MS_MAX, TIME_MS_MIN
from stream.wire.types import CLICK_NAMES, FORGET_NAME, PURCHASE_NAMES, SEARCH_NAMES

NAMES: Final = tuple(name.encode() for name in FIELDS)
TYPES: Final = tuple(
    name.encode() for name in (*CLICK_NAMES, *SEARCH_NAMES, *PURCHASE_NAMES, FORGET_NAME)
)


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """Nest so deep."""
    return opening * depth + b"0" + closing * depth


NUMBERS: Final = (
    b"0", b"-0", b"1", b"-1", b"64", b"65535", b"65536", b"2147483647", b"2147483648",
    b"9007199254740992", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809",
    b"18446744073709551616", b"9" * 40, b"1e5", b"1E-400", b"1e400", b"-1e999", b"0.1", b"12.345",
    b"0.000000000000001", b"123456789012345.6", b"1.", b".5", b"01", b"+1", b"0x10", b"1_000",
    b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"1.7976931348623157e308", b"4.9e-324",
    str(TIME_MS_MIN).encode(), str(TIME_MS_MIN - 1).encode(), str(TIME_MS_MAX).encode(),
    str(TIME_MS_MAX + 1).encode(), b"1760000000000", b"1.76e12", b"1760000000000.5",
)  # fmt: skip

TEXTS: Final = (
    b'""', b'"x"', b'" "', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"',
    b'"\\uD8"', b'"\\x41"', b'"\\', b'"\x00"', b'"\x1f"', b'"\x7f"', b'"\xff"', b'"\xc0\x80"',
    b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xc3"', b'"\xef\xbb\xbf"', b'"\xe2\x80\xae"',
    b'"' + b"x" * 512 + b'"', b'"' + b"x" * 513 + b'"', b'"' + b"x" * 128 + b'"',
    b'"' + b"x" * 129 + b'"', '"{}"'.format("ü" * 256).encode(), '"{}"'.format("İ" * 300).encode(),
    b'"' + b"a b " * 1100 + b'"',
    b'"anon:x"', b'"anon:"', b'"12.50"', b'"1e9"', b'"-1"', b'"0.005"',
    b'"21474836.48"', b'"2025-10-09T08:53:20Z"', b'"2025-10-09T08:53:20.123456789+02:00"',
    b'"2024-02-29 00:00:00-0130"', b'"2025-02-29T00:00:00Z"', b'"2025-10-09T08:53"',
    b'"2025-13-01T00:00:00Z"', b'"2025-01-01T24:00:00Z"', b'"0000-01-01T00:00:00Z"',
    b'"9999-12-31T23:59:59Z"', b'"2025-10-09T08:53:60Z"', b'"2025-10-09T08:53:20+24:00"',
    b'"view"', b'"cart"', b'"favourite"', b'"purchase"', b'"search"',
)  # fmt: skip

STRUCTURES: Final = (
    b"null", b"true", b"false", b"nul", b"tru", b"[]", b"{}", b"[{}]", b"[null]", b"{", b"}", b"[",
    b"]", b",", b":", b",,", b'{"":0}', b'{"a":1,"a":2}', b'[{"item_id":"i"}]', b"// x", b"/* x */",
    b'[{"item_id":"i","quantity":2,"price":1.5},{"product_id":"p"}]', b"\xef\xbb\xbf", b" \t\r\n",
    b"\x00", b"\xff\xfe", nested(3), nested(32), nested(33), nested(70), nested(1500),
    nested(3000, b'{"a":', b"}"), b"[" * 2000,
    b"[" + b",".join([b'{"item_id":"i"}'] * 63) + b"]",
    b"[" + b",".join([b'{"item_id":"i","quantity":1100,"price":"9"}'] * 64) + b"]",
    b"[" + b",".join([b'{"item_id":"i","quantity":1100}'] * 65) + b"]",
)  # fmt: skip

VALUES: Final = (*NUMBERS, *TEXTS, *STRUCTURES)
ALL: Final = (*NAMES, *TYPES, *VALUES)
KEYS: Final = (
    None, b"", b"ann", b"\x00", b"\x00header", b"anon:", b"anon:x", b"\xff\xfe", b"x" * 512,
    b"x" * 513,
)  # fmt: skip
