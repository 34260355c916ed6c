"""Chunks against aiokafka's own reading of the same bytes, and at their limits."""

import gc
import struct
import weakref

import numpy as np
import pytest
from aiokafka.errors import CorruptRecordException
from hypothesis import given
from hypothesis import strategies as st

from stream.shell.batches import CODECS, HEADER
from stream.shell.chunk import (
    PIECE_BYTES,
    ChunkLimits,
    FetchedChunk,
    new_scratch,
    take_chunk,
)
from tests.shell.batch_making import (
    ABORT_KEY,
    CODEC_NUMBERS,
    COMMIT_KEY,
    TOPIC,
    make_batch,
    partition_records,
    read_chunks,
    read_stock,
    reseal,
)

ROWS = [(offset, b"k%d" % offset, b"v" * 50) for offset in range(10, 20)]


def rows_of(chunks: list[FetchedChunk]) -> list[tuple[int, int, bytes | None, bytes | None]]:
    found = []
    for chunk in chunks:
        records = chunk.records()
        stamps = records.timestamps_ms.tolist()
        columns = (records.offsets.tolist(), stamps, list(records.keys()), list(records.values()))
        found += list(zip(*columns, strict=True))
    return found


@pytest.mark.parametrize("codec", CODEC_NUMBERS)
def test_every_codec(codec: str) -> None:
    raw = make_batch(10, ROWS, codec=codec)
    (chunk,) = read_chunks(raw, 10, [])
    assert rows_of([chunk]) == read_stock(raw, 10, [])[0]
    assert (chunk.offset_first, chunk.offset_next, chunk.unreadable) == (10, 20, 0)
    assert chunk.bytes_count == len(raw)
    assert chunk.plain_bytes_count == len(make_batch(10, ROWS))
    assert chunk.records_count_max == 10
    assert chunk.timestamp_ms_max == 1_000_019


@pytest.mark.parametrize(("position", "first"), [(9, 10), (10, 10), (11, 11), (19, 19)])
def test_a_fetch_may_begin_inside_a_batch(position: int, first: int) -> None:
    (chunk,) = read_chunks(make_batch(10, ROWS), position, [])
    assert chunk.records().offsets.tolist() == list(range(first, 20))
    assert chunk.offset_first == position


def test_records_can_be_read_twice() -> None:
    (chunk,) = read_chunks(make_batch(10, ROWS), 10, [])
    assert rows_of([chunk]) == rows_of([chunk])


def test_a_cut_batch_at_the_end_is_left_for_the_next_fetch() -> None:
    whole = make_batch(10, ROWS)
    for cut in (1, HEADER.size, len(whole) - 1):
        (chunk,) = read_chunks(whole + make_batch(20, [(20, b"k", b"v")] * 1)[:cut], 10, [])
        assert chunk.offset_next == (20 if cut < len(whole) - 1 else 21)


def test_markers_and_aborted_rows_move_the_position_only() -> None:
    raw = (
        make_batch(0, [(0, b"a", b"1")], producer=7)
        + make_batch(1, [(1, b"b", b"2")], producer=8)
        + make_batch(2, [(2, ABORT_KEY, b"\0" * 6)], producer=7, control=True)
        + make_batch(3, [(3, COMMIT_KEY, b"\0" * 6)], producer=8, control=True)
        + make_batch(4, [(4, b"a", b"3")], producer=7)
        + make_batch(5, [(5, COMMIT_KEY, b"\0" * 6)], producer=7, control=True)
    )
    (chunk,) = read_chunks(raw, 0, [(7, 0)])
    assert chunk.records().offsets.tolist() == [1, 4]
    assert chunk.offset_next == 6


def test_a_chunk_of_markers_only_has_no_record() -> None:
    raw = make_batch(4, [(4, COMMIT_KEY, b"\0" * 6)], producer=8, control=True)
    (chunk,) = read_chunks(raw, 4, [])
    assert (chunk.offset_first, chunk.offset_next) == (4, 5)
    assert chunk.records().offsets.tolist() == []
    assert chunk.bytes_count == len(raw)


@pytest.mark.parametrize("codec", CODEC_NUMBERS)
def test_a_wrong_checksum_is_an_error(codec: str) -> None:
    raw = bytearray(make_batch(10, ROWS, codec=codec))
    raw[-1] ^= 1
    with pytest.raises(CorruptRecordException, match="checksum"):
        read_chunks(bytes(raw), 10, [])


def test_limit_splits_between_batches() -> None:
    batches = [make_batch(n, [(n, b"k", b"v" * 100)], codec="lz4") for n in range(6)]
    size = len(make_batch(0, [(0, b"k", b"v" * 100)]))
    for limit, cuts in ((3 * size - 1, [2, 4, 6]), (3 * size, [3, 6]), (3 * size + 1, [3, 6])):
        chunks = read_chunks(b"".join(batches), 0, [], ChunkLimits(limit, 1 << 20))
        assert [chunk.offset_next for chunk in chunks] == cuts
        assert all(chunk.plain_bytes_count <= limit for chunk in chunks)
        assert [row[0] for row in rows_of(chunks)] == list(range(6))


def test_a_batch_larger_than_a_chunk_comes_alone() -> None:
    small = make_batch(0, [(0, b"k", b"v")])
    large = make_batch(1, [(1, b"k", b"v" * 1000)])
    chunks = read_chunks(small + large, 0, [], ChunkLimits(200, 1 << 20))
    assert [chunk.offset_next for chunk in chunks] == [1, 2]


@pytest.mark.parametrize("codec", list(CODECS.values()))
def test_what_inflates_beyond_the_limit_is_unreadable(codec: str) -> None:
    plain = len(make_batch(5, [(5, b"k", b"v" * 9000), (6, b"k", b"v" * 9000)])) - HEADER.size
    raw = make_batch(5, [(5, b"k", b"v" * 9000), (6, b"k", b"v" * 9000)], codec=codec)
    after = make_batch(7, [(7, b"k", b"v")])
    for limit, unreadable in ((plain - 1, 2), (plain, 0), (plain + 1, 0)):
        chunks = read_chunks(raw + after, 5, [], ChunkLimits(limit, limit))
        assert sum(chunk.unreadable for chunk in chunks) == unreadable
        rows = rows_of(chunks)
        assert [row[0] for row in rows] == [5, 6, 7]
        assert [row[3] is None for row in rows] == [unreadable > 0] * 2 + [False]


@pytest.mark.parametrize("codec", list(CODECS.values()))
def test_broken_compression_is_unreadable(codec: str) -> None:
    raw = bytearray(make_batch(10, ROWS, codec=codec))
    raw[HEADER.size + 20 :] = b"\xff" * (len(raw) - HEADER.size - 20)
    (chunk,) = read_chunks(reseal(raw), 12, [])
    assert chunk.unreadable == 8
    assert chunk.records().offsets.tolist() == list(range(12, 20))
    assert set(chunk.records().values()) == {None}


def test_an_unknown_codec_is_unreadable() -> None:
    raw = bytearray(make_batch(10, ROWS))
    struct.pack_into(">h", raw, 21, 7)
    (chunk,) = read_chunks(reseal(raw), 10, [])
    assert chunk.unreadable == 10


def test_broken_records_are_unreadable_from_there_on() -> None:
    raw = bytearray(make_batch(10, ROWS))
    middle = raw.index(b"k15")
    raw[middle - 5 : middle] = b"\xff" * 5
    (chunk,) = read_chunks(reseal(raw), 10, [])
    offsets, _, keys, values = zip(*rows_of([chunk]), strict=True)
    assert list(offsets) == list(range(10, 20))
    assert list(keys) == [b"k%d" % n for n in range(10, 15)] + [None] * 5
    assert values[5:] == (None,) * 5


def test_limits_must_fit() -> None:
    with pytest.raises(ValueError, match="plain_bytes_max"):
        ChunkLimits(10, 9)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[int, int]]]:
    """A response: batches of several producers, some aborted, compacted holes, any codec."""
    offset = draw(st.integers(0, 5))
    position = offset
    raw, aborted, open_from = b"", [], {}
    for _ in range(draw(st.integers(0, 8))):
        producer = draw(st.sampled_from([-1, 7, 8]))
        if producer in open_from and draw(st.booleans()):
            abort = draw(st.booleans())
            key = ABORT_KEY if abort else COMMIT_KEY
            raw += make_batch(offset, [(offset, key, b"\0" * 6)], producer=producer, control=True)
            if abort:
                aborted.append((producer, open_from[producer]))
            del open_from[producer]
            offset += 1
            continue
        if producer != -1:
            open_from.setdefault(producer, offset)
        size = draw(st.integers(1, 5))
        kept = sorted(draw(st.sets(st.integers(0, size - 1), min_size=1)))
        values = st.one_of(st.none(), st.binary(max_size=20))
        rows = [(offset + n, draw(values), draw(values)) for n in kept]
        raw += make_batch(
            offset, rows, codec=draw(st.sampled_from(list(CODEC_NUMBERS))), producer=producer,
            last=offset + size - 1,
        )  # fmt: skip
        if position == offset:  # the first batch: the fetch may begin inside it
            position += draw(st.integers(0, size - 1))
        offset += size + draw(st.integers(0, 2))
    return raw, position, aborted


@given(responses(), st.sampled_from([1, 150, 1 << 20]))
def test_same_as_aiokafka(
    response: tuple[bytes, int, list[tuple[int, int]]], plain_bytes_max: int
) -> None:
    raw, position, aborted = response
    rows, position_next = read_stock(raw, position, list(aborted))
    chunks = read_chunks(raw, position, list(aborted), ChunkLimits(plain_bytes_max, 1 << 20))
    assert rows_of(chunks) == rows
    assert chunks[-1].offset_next == position_next
    at = position
    for chunk in chunks:
        assert chunk.offset_first == at
        at = chunk.offset_next
    assert sum(chunk.bytes_count for chunk in chunks) == len(raw)


def test_a_response_that_was_taken_is_gone_without_the_collector() -> None:
    """Its bytes are most of what a worker takes in; aiokafka's iterator would keep them."""
    raw = make_batch(0, [(0, b"key", b"value")])
    records = partition_records(raw, 0, [])
    gone = weakref.ref(records)
    chunk = FetchedChunk(TOPIC, 0, 0, -1, 1)
    gc.disable()
    try:
        assert take_chunk(chunk, records, ChunkLimits(), new_scratch(ChunkLimits()))
        del records
        assert gone() is None
    finally:
        gc.enable()
    assert list(chunk.records().values()) == [b"value"]


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_pieces_are_all_records_and_large_batches_stand_alone(over: int) -> None:
    small = make_batch(0, [(0, b"a", b"1")])
    room = PIECE_BYTES - len(small)
    empty = len(make_batch(1, [(1, b"b", b"x" * room)])) - room
    large = make_batch(1, [(1, b"b", b"x" * (room - empty + over))])
    raw = small + large + make_batch(2, [(2, b"c" * 99, None)])
    (chunk,) = read_chunks(raw, 0, [])
    last = b"c" * 99
    pieces = [list(piece.keys()) for piece in chunk.pieces()]
    assert pieces == ([[b"a"], [b"b"], [last]] if over > 0 else [[b"a", b"b"], [last]])
    values = [value for piece in chunk.pieces() for value in piece.values()]
    assert values == list(chunk.records().values())


@pytest.mark.parametrize("codec", ["none", "zstd"])
@pytest.mark.parametrize("passing", [True, False])
def test_only_a_passing_chunk_leaves_plain_batches_in_the_response(
    codec: str, *, passing: bool
) -> None:
    raw = make_batch(0, [(0, b"key", b"v" * 500)], codec=codec)
    chunk = FetchedChunk(TOPIC, 0, 0, -1, 1, passing=passing)
    limits = ChunkLimits()
    assert take_chunk(chunk, partition_records(raw, 0, []), limits, new_scratch(limits))
    data = chunk.records().data
    shared = np.shares_memory(data, np.frombuffer(raw, np.uint8))
    assert shared == (passing and codec == "none")
    assert not data.flags.writeable
    assert rows_of([chunk]) == read_stock(raw, 0, [])[0]
