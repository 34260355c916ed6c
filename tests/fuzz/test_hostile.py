"""Hostile input by name: what a sender who means harm would try first, and how it ends."""

import json
import struct

import pytest
from aiokafka.errors import CorruptRecordException

from stream.core.layout import Reason
from stream.shell.batches import HEADER
from stream.shell.chunk import ChunkLimits
from stream.wire.decode import Decoder
from stream.wire.records import columns_of
from tests.fuzz.batches import resealed
from tests.shell.batch_making import make_batch, read_chunks
from tests.wire.samples import (
    CLICK,
    LIMITS,
    PARTITION,
    TIME_MS,
    USER,
    changed,
    packed,
    read,
    reason_of,
)

GOOD = packed(CLICK)
RAW = {
    "deeply nested arrays": b"[" * 9_000,
    "deeply nested and closed": b"[" * 4_900 + b"]" * 4_900,
    "deeply nested objects": b'{"a":' * 1_600 + b"1" + b"}" * 1_600,
    "nesting in a field that is not read": GOOD[:-1]
    + b',"x":'
    + b"[" * 4_000
    + b"]" * 4_000
    + b"}",
    "not a number": GOOD.replace(b"12.99", b"NaN"),
    "minus infinity": GOOD.replace(b"12.99", b"-Infinity"),
    "lone surrogate": GOOD.replace(b"shoes", b"\\ud800"),
    "lone low surrogate": GOOD.replace(b"shoes", b"\\udc00"),
    "surrogate in UTF-8": GOOD.replace(b"shoes", b"\xed\xa0\x80"),
    "overlong UTF-8": GOOD.replace(b"shoes", b"\xc0\xaf"),
    "above Unicode": GOOD.replace(b"shoes", b"\xf4\x90\x80\x80"),
    "unescaped control character": GOOD.replace(b"shoes", b"a\x00b"),
    "two documents": GOOD + GOOD,
    "UTF-16": json.dumps(CLICK).encode("utf-16"),
    "empty": b"",
    "white space": b" \n\t" * 100,
}
VALUES = {
    "a price beyond a float": b"1e999",
    "a price of a thousand digits": b"9" * 1_000,
    "a negative price": b"-0.01",
    "a negative zero with exponent": b"-1e-2",
}
TIMES = {
    "64 bits and one": b"9223372036854775808",
    "minus 64 bits": b"-9223372036854775809",
    "a hundred digits": b"9" * 100,
    "beyond a float": b"1e400",
}


@pytest.mark.parametrize("value", RAW.values(), ids=RAW)
def test_undecodable(value: bytes) -> None:
    assert reason_of(value, key=USER.encode(), partition=PARTITION) == Reason.UNDECODABLE


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_prices(value: bytes) -> None:
    assert reason_of(GOOD.replace(b"12.99", value)) == Reason.BAD_VALUE


@pytest.mark.parametrize("value", TIMES.values(), ids=TIMES)
def test_times(value: bytes) -> None:
    assert reason_of(GOOD.replace(str(TIME_MS).encode(), value)) == Reason.BAD_VALUE


def test_the_last_of_a_thousand_equal_keys_counts() -> None:
    value = GOOD[:-1] + b"".join(b',"price":%d' % n for n in range(600)) + b"}"
    assert read(value).steps[0][1] == 59_900


def test_an_escaped_name_is_the_same_name_twice() -> None:
    value = GOOD[:-1] + b',"item\\u005fid":"other"}'
    assert read(value).steps == read(changed(item_id="other")).steps


@pytest.mark.parametrize(("size", "reason"), [(9_999, 0), (10_000, 0), (10_001, Reason.TOO_LARGE)])
def test_huge(size: int, reason: int) -> None:
    value = GOOD[:-1] + b" " * (size - len(GOOD)) + b"}"
    assert reason_of(value, limits=LIMITS) == reason


def test_a_basket_of_hundreds_is_sixty_four_steps() -> None:
    many = changed(2, items=[{"item_id": f"i{n}", "quantity": 60_000} for n in range(180)])
    steps = read(many, 2).steps
    assert len(steps) == 64
    assert steps[-1][4] == 65_535


def test_names_that_look_like_ours_in_the_changelog_are_no_users() -> None:
    for user in ("\0header", "\0forgotten" + "x" * 16):
        assert reason_of(changed(user_id=user)) == Reason.BAD_VALUE


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_decompression_bomb_is_a_dead_letter_by_offset(codec: str) -> None:
    """32 MiB of nothing: it is never inflated beyond the limit, and the next batch is read."""
    bomb = make_batch(0, [(0, b"k", bytes(32 << 20))], codec=codec)
    after = make_batch(1, [(1, b"k", b"v")])
    chunks = read_chunks(bomb + after, 0, [], ChunkLimits(1 << 20, 8 << 20))
    assert sum(chunk.unreadable for chunk in chunks) == 1
    values = [value for chunk in chunks for value in chunk.records().values()]
    assert values == [None, b"v"]
    decoded = Decoder(1).decode(0, 0, 0, 1, columns_of([0], [TIME_MS], [None], [None]))
    assert decoded.events["reason"].tolist() == [Reason.UNDECODABLE]


def test_a_bomb_of_tiny_records_is_read_in_parts() -> None:
    """A megabyte that holds half a million records: no chunk has more than 65,536."""
    raw = make_batch(0, [(n, None, None) for n in range(200_000)], codec="zstd")
    assert len(raw) < 1 << 20
    chunks = read_chunks(raw, 0, [])
    assert [chunk.records_count_max for chunk in chunks] == [65_536, 65_536, 65_536, 3_392]
    assert sum(len(chunk.records().offsets) for chunk in chunks) == 200_000


HOSTILE_VARINTS = {
    "a record as long as 64 bits say": b"\xfe" + b"\xff" * 8 + b"\x01",
    "as long, less what a wrap needs": b"\xee" + b"\xff" * 8 + b"\x01",
    "eleven bytes of length": b"\xff" * 11,
}


@pytest.mark.parametrize("length", HOSTILE_VARINTS.values(), ids=HOSTILE_VARINTS)
def test_lengths_that_wrap_round_read_nothing_outside(length: bytes) -> None:
    """Sums of such lengths once passed the checks, and the reader left its buffer."""
    whole = make_batch(0, [(0, b"k", b"v")])
    for inner in (b"\x00\x00\x00", b"\x00\x00\x00" + length, b"\x00\x00\x00\x00" + length):
        records = length + inner + b"\x00" * 20
        raw = resealed(bytearray(whole[: HEADER.size] + records))
        (chunk,) = read_chunks(raw, 0, [])
        assert list(chunk.records().values()) == [None]


def test_a_length_that_is_none_is_a_corrupt_batch() -> None:
    raw = bytearray(make_batch(0, [(0, b"k", b"v")]))
    for length in (-12, -(2**31), 0, 48):
        struct.pack_into(">i", raw, 8, length)
        with pytest.raises(CorruptRecordException, match="a record batch of"):
            read_chunks(bytes(raw), 0, [])


def test_records_without_a_time_are_read() -> None:
    """Kafka says -1 for "no time"."""
    raw = bytearray(make_batch(0, [(0, b"k", b"v")]))
    struct.pack_into(">qq", raw, 27, -1, -1)
    struct.pack_into(">h", raw, 21, 8)  # append time: the largest time counts
    (chunk,) = read_chunks(resealed(raw), 0, [])
    assert chunk.records().timestamps_ms.tolist() == [-1]
