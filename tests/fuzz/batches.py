"""Target: record batches as a broker would send them, in whatever state.

An input is a response: batches end to end. Every one must be read, refused as corrupt, or count as
unreadable by its offsets; chunks tile the offsets, and what is read lies inside the bytes. Lengths
and checksums are put right after most changes: a wrong checksum ends every reader at once.
"""

import contextlib
import struct
from collections.abc import Hashable, Sequence
from random import Random
from typing import Final

import cramjam
import numpy as np
from aiokafka.errors import CorruptRecordException
from aiokafka.record._crecords.cutil import crc32c_cython

from stream.shell import batches as batch_reader
from stream.shell import chunk as chunk_reader
from stream.shell.batches import CODEC_MASK, CODECS, CRC_FROM, HEADER, LENGTH_AT
from stream.shell.chunk import ChunkLimits, FetchedChunk, new_scratch, take_chunk
from stream.wire.decode import Decoder
from tests.fuzz.arcs import Arc, Tracer
from tests.fuzz.events import wrong_rows
from tests.fuzz.mutate import change_bytes
from tests.fuzz.target import Judged
from tests.shell.batch_making import CODEC_NUMBERS, TOPIC, make_batch, partition_records
from tests.wire.samples import CLICK, packed

LIMITS: Final = ChunkLimits(plain_bytes_max=4_096, batch_bytes_max=1 << 16, offsets_max=40)
CHUNKS_MAX: Final = 16  # a response may cover 2**31 offsets; the rest is more of the same
POSITION_MAX: Final = 1 << 40
VARINTS: Final = (
    b"\x00", b"\x01", b"\x02", b"\x7f", b"\x80\x01", b"\xff\xff\x03", b"\xfe\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\x0f", b"\xfe" + b"\xff" * 8 + b"\x01", b"\xff" * 9 + b"\x01",
    b"\xee" + b"\xff" * 8 + b"\x01", b"\xff" * 10, b"\x80" * 10,
)  # fmt: skip
# Places of a header's fields, and what is written there.
FIELDS: Final = ((0, "q"), (12, "i"), (16, "b"), (21, "h"), (23, "i"), (27, "q"), (35, "q"),
                 (43, "q"), (51, "h"), (53, "i"), (57, "i"))  # fmt: skip
ODD: Final = (
    0,
    1,
    -1,
    2,
    7,
    9,
    127,
    -128,
    32_767,
    -32_768,
    2**31 - 1,
    -(2**31),
    2**63 - 1,
    -(2**63),
)
_BITS: Final = {"b": 8, "h": 16, "i": 32, "q": 64}


class Batches:
    """See stream.shell.batches, stream.shell.chunk and stream.wire.records."""

    name = "batches"
    batch_inputs = 256
    traced_bytes_max = 16_384

    def __init__(self) -> None:
        self._scratch = new_scratch(LIMITS)
        self._decoder = Decoder(1)
        self._tracer = Tracer(batch_reader.__file__, chunk_reader.__file__)

    def seeds(self) -> list[bytes]:
        """One batch per codec, one with a hole, one of several producers."""
        value = packed(CLICK)
        rows = [(10 + n, b"ann", value) for n in range(4)]
        made = [make_batch(10, rows, codec=codec) for codec in CODEC_NUMBERS]
        made.append(make_batch(10, [(10, None, None), (12, b"", b"")], last=15))
        made.append(make_batch(10, rows[:1]) + make_batch(11, rows[1:2], producer=7))
        made.append(make_batch(10, [(10, b"\0\0\0\0", b"\0" * 6)], producer=7, control=True))
        return made

    def change(self, rng: Random, value: bytes, other: bytes) -> bytes:
        """Change one batch of a response: its header, its records, or any bytes."""
        raw = bytearray(value)
        kind = rng.randrange(8)
        if kind == 0 or len(raw) < HEADER.size:
            return change_bytes(rng, value, other, VARINTS)
        if kind == 1 and len(raw) + len(other) < (1 << 16):
            return value + other
        if kind <= 3:
            at, form = rng.choice(FIELDS)
            number = rng.choice(ODD) % (1 << _BITS[form])
            raw[at : at + _BITS[form] // 8] = number.to_bytes(_BITS[form] // 8, "big")
        else:
            raw = self._with_records(rng, raw, other)
        return resealed(raw) if rng.random() < 0.95 else bytes(raw)

    def judge(self, inputs: Sequence[bytes]) -> Judged:
        """Read them one by one."""
        judged = Judged([None] * len(inputs), 0, 0)
        for at, value in enumerate(inputs):
            try:
                feature, accepted = self._read(value)
            except CorruptRecordException as error:
                feature, accepted = str(error)[:12], False
            except Exception as error:  # noqa: BLE001 that it raises is what is looked for
                judged.failures.append((at, f"{type(error).__name__}: {error}"))
                continue
            judged.features[at] = feature
            judged.accepted += accepted
            judged.refused += not accepted
        return judged

    def arcs(self, value: bytes) -> set[Arc]:
        """Trace the parts that are not compiled."""
        return self._tracer.of(lambda: self._read(value))

    def _read(self, value: bytes) -> tuple[Hashable, bool]:
        first = int.from_bytes(value[:8], "big", signed=True)
        position = min(max(first, 0), POSITION_MAX) + len(value) % 3
        records = partition_records(value, position, [(7, 0)])
        at, rows, dead, unreadable, complete = position, 0, 0, 0, False
        chunks = 0
        while not complete and chunks < CHUNKS_MAX:
            chunk = FetchedChunk(TOPIC, 0, records.next_fetch_offset, 10**9, 1)
            complete = take_chunk(chunk, records, LIMITS, self._scratch)
            if chunk.offset_first != at or chunk.offset_next < at:
                raise AssertionError(f"{chunk} after {at}")
            at = chunk.offset_next
            got, bad = self._decode(chunk)
            rows, dead, unreadable = rows + got, dead + bad, unreadable + chunk.unreadable
            chunks += 1
        ends = (min(rows, 3), min(dead, 2), min(unreadable, 2), min(chunks, 3), complete)
        return ends, rows > dead

    def _decode(self, chunk: FetchedChunk) -> tuple[int, int]:
        """Decode what a chunk holds; rows, and how many of them are dead."""
        records = chunk.records()
        count = len(records.offsets)
        if count > min(LIMITS.offsets_max, chunk.offset_next - chunk.offset_first):
            raise AssertionError(f"{count} records in {chunk}")
        begin, size = records.places[:, 0::2], records.places[:, 1::2]
        if count and (
            begin.min() < 0 or size.min() < -1 or (begin + size).max() > len(records.data)
        ):
            raise AssertionError("a record that lies outside the bytes")
        if count and (np.diff(records.offsets) <= 0).any():
            raise AssertionError("offsets that do not rise")
        decoded = self._decoder.decode(0, 0, chunk.offset_first, chunk.offset_next, records)
        decoded.events["offset"] = np.arange(count)
        wrong = wrong_rows(0, decoded, records.keys())
        if wrong:
            raise AssertionError(wrong[0][1])
        return count, int(np.count_nonzero(decoded.events["reason"]))

    def _with_records(self, rng: Random, raw: bytearray, other: bytes) -> bytearray:
        """Change the first batch's records where they are plain, and compress them in some way."""
        size = LENGTH_AT.size + LENGTH_AT.unpack_from(raw)[1]
        if not HEADER.size <= size <= len(raw):
            size = len(raw)
        head, payload, rest = raw[: HEADER.size], bytes(raw[HEADER.size : size]), raw[size:]
        codec = CODECS.get(head[CRC_FROM + 1] & CODEC_MASK)
        if codec is not None:
            with contextlib.suppress(cramjam.DecompressionError):  # else changed as it stands
                payload = _inflated(codec, payload)
        if rng.random() < 0.05:
            payload = bytes(rng.choice((1 << 15, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 1 << 20)))
        elif rng.random() < 0.8:
            payload = change_bytes(rng, payload, other, VARINTS)
        number = rng.choice((0, 0, 1, 2, 3, 4))
        head[CRC_FROM + 1] = (head[CRC_FROM + 1] & ~CODEC_MASK) | number
        if number:
            payload = _deflated(CODECS[number], payload)
        struct.pack_into(">i", head, 8, HEADER.size - LENGTH_AT.size + len(payload))
        return bytearray(head + payload + rest)


def _inflated(codec: str, data: bytes) -> bytes:
    if codec == "snappy":
        return bytes(cramjam.snappy.decompress_raw(data))
    return bytes(getattr(cramjam, codec).decompress(data))


def _deflated(codec: str, data: bytes) -> bytes:
    if codec == "snappy":
        return bytes(cramjam.snappy.compress_raw(data))
    return bytes(getattr(cramjam, codec).compress(data))


def resealed(raw: bytearray) -> bytes:
    """Put the first batch's checksum right, and its length where that is out of all bounds."""
    size = LENGTH_AT.size + LENGTH_AT.unpack_from(raw)[1]
    if not HEADER.size <= size <= len(raw):
        size = len(raw)
        struct.pack_into(">i", raw, 8, size - LENGTH_AT.size)
    struct.pack_into(">I", raw, CRC_FROM - 4, crc32c_cython(bytes(raw[CRC_FROM:size])))
    return bytes(raw)
