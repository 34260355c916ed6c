"""xxh3-64 (seed 0) of a stretch of bytes, for kernels: what the xxhash library computes.

Rules of the room: up to BYTES_MAX bytes, the lengths that ids have; longer texts are hashed by the
library. The formulas are those of the xxHash specification (github.com/Cyan4973/xxHash, doc/
xxhash_spec.md); tests/wire/test_xxh3.py compares every length with the library.
"""

from typing import Final

import numpy as np

from stream.core.compiled import compiled
from stream.core.layout import Bytes

BYTES_MAX: Final = 128


_SECRET: Final = np.frombuffer(
    bytes.fromhex(
        "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
        "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
        "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
        "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    ),
    np.uint8,
)
_PRIME32_1: Final = np.uint64(0x9E3779B1)
_PRIME32_2: Final = np.uint64(0x85EBCA77)
_PRIME32_3: Final = np.uint64(0xC2B2AE3D)
_PRIME64_1: Final = np.uint64(0x9E3779B185EBCA87)
_PRIME64_2: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME64_3: Final = np.uint64(0x165667B19E3779F9)
_MX1: Final = np.uint64(0x165667919E3779F9)
_MX2: Final = np.uint64(0x9FB21C651E98DF25)
_LOW: Final = np.uint64(0xFFFFFFFF)


@compiled
def xxh3_64(data: Bytes, at: int, size: int) -> np.uint64:
    """Hash data[at : at + size], size at most BYTES_MAX."""
    secret = _SECRET
    if size > 16:
        return _long(data, at, size, secret)
    if size > 8:
        flip_low = _word64(secret, 24) ^ _word64(secret, 32)
        flip_high = _word64(secret, 40) ^ _word64(secret, 48)
        low = _word64(data, at) ^ flip_low
        high = _word64(data, at + size - 8) ^ flip_high
        swapped = _swap64(low)
        return _avalanche(np.uint64(size) + swapped + high + _fold(low, high))
    if size >= 4:
        flip = _word64(secret, 8) ^ _word64(secret, 16)
        first, last = _word32(data, at), _word32(data, at + size - 4)
        keyed = (last + (first << np.uint64(32))) ^ flip
        keyed ^= _rotate(keyed, 49) ^ _rotate(keyed, 24)
        keyed *= _MX2
        keyed ^= (keyed >> np.uint64(35)) + np.uint64(size)
        keyed *= _MX2
        return keyed ^ (keyed >> np.uint64(28))
    if size > 0:
        first, middle = np.uint64(data[at]), np.uint64(data[at + (size >> 1)])
        last = np.uint64(data[at + size - 1])
        mixed = (first << np.uint64(16)) | (middle << np.uint64(24)) | last
        mixed |= np.uint64(size) << np.uint64(8)
        flip = _word32(secret, 0) ^ _word32(secret, 4)
        return _avalanche_64(mixed ^ flip)
    return _avalanche_64(_word64(secret, 56) ^ _word64(secret, 64))


@compiled
def _long(data: Bytes, at: int, size: int, secret: Bytes) -> np.uint64:
    """Hash 17 to 128 bytes: pairs of 16 from both ends inwards."""
    total = np.uint64(size) * _PRIME64_1
    rounds = (size - 1) // 32
    for number in range(rounds, -1, -1):
        total += _mix(data, at + 16 * number, secret, 32 * number)
        total += _mix(data, at + size - 16 * (number + 1), secret, 32 * number + 16)
    return _avalanche(total)


@compiled
def _mix(data: Bytes, at: int, secret: Bytes, place: int) -> np.uint64:
    return _fold(
        _word64(data, at) ^ _word64(secret, place),
        _word64(data, at + 8) ^ _word64(secret, place + 8),
    )


@compiled
def _fold(one: np.uint64, other: np.uint64) -> np.uint64:
    """Low half xor high half of the 128-bit product."""
    half = np.uint64(32)
    low_low = (one & _LOW) * (other & _LOW)
    high_low = (one >> half) * (other & _LOW)
    low_high = (one & _LOW) * (other >> half)
    high_high = (one >> half) * (other >> half)
    cross = (low_low >> half) + (high_low & _LOW) + low_high
    upper = (high_low >> half) + (cross >> half) + high_high
    lower = (cross << half) | (low_low & _LOW)
    return lower ^ upper


@compiled
def _avalanche(value: np.uint64) -> np.uint64:
    value ^= value >> np.uint64(37)
    value *= _MX1
    return value ^ (value >> np.uint64(32))


@compiled
def _avalanche_64(value: np.uint64) -> np.uint64:
    value ^= value >> np.uint64(33)
    value *= _PRIME64_2
    value ^= value >> np.uint64(29)
    value *= _PRIME64_3
    return value ^ (value >> np.uint64(32))


@compiled
def _rotate(value: np.uint64, bits: int) -> np.uint64:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@compiled
def _swap64(value: np.uint64) -> np.uint64:
    out = np.uint64(0)
    for _ in range(8):
        out = (out << np.uint64(8)) | (value & np.uint64(0xFF))
        value >>= np.uint64(8)
    return out


@compiled
def _word64(data: Bytes, at: int) -> np.uint64:
    return _word32(data, at) | (_word32(data, at + 4) << np.uint64(32))


@compiled
def _word32(data: Bytes, at: int) -> np.uint64:
    return (
        np.uint64(data[at])
        | (np.uint64(data[at + 1]) << np.uint64(8))
        | (np.uint64(data[at + 2]) << np.uint64(16))
        | (np.uint64(data[at + 3]) << np.uint64(24))
    )
