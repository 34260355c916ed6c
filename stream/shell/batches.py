"""Record batches of a fetch response: found by their headers, checked, inflated within a limit.

Rules of the room: aiokafka keeps a response's bytes to itself, so `KeptRecords` takes the place of
its MemoryRecords and remembers them (`install`, until aiokafka gives them out). A compressed batch
is inflated once, here, into a buffer that bounds it; what comes out is a plain batch that aiokafka
iterates. No Python per record.
"""

import struct
from typing import Final, NamedTuple, TypeAlias

import cramjam
import numpy as np
import numpy.typing as npt
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record._crecords.default_records import DefaultRecordBatch
from aiokafka.record._crecords.memory_records import MemoryRecords

# base offset, length, leader epoch, magic, crc, attributes, last offset delta, first timestamp,
# max timestamp, producer id, producer epoch, base sequence, records count.
HEADER: Final = struct.Struct(">qiibIhiqqqhii")
LENGTH_AT: Final = struct.Struct(">qi")
CRC_FROM: Final = 21  # the checksum covers everything from the attributes on
CODEC_MASK: Final = 0x07
CODECS: Final = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
XERIAL_HEADER_BYTES: Final = 16


Scratch: TypeAlias = npt.NDArray[np.uint8]  # a buffer to inflate into


class KeptRecords:
    """Stands in for aiokafka's MemoryRecords and keeps the bytes: `raw`, read up to `at`."""

    __slots__ = ("_records", "at", "raw")

    def __init__(self, raw: bytes) -> None:
        self._records = MemoryRecords(raw)
        self.raw = raw
        self.at = 0

    def has_next(self) -> bool:
        """As aiokafka."""
        return bool(self._records.has_next())

    def next_batch(self) -> object:
        """As aiokafka; for topics that are not chunked."""
        return self._records.next_batch()

    def size_in_bytes(self) -> int:
        """As aiokafka."""
        return int(self._records.size_in_bytes())

    def peek(self) -> "Batch | None":
        """Show the batch that comes next; None behind the last whole one.

        Raises CorruptRecordException on a length that is none.
        """
        left = len(self.raw) - self.at
        if left < HEADER.size:
            return None
        _, length = LENGTH_AT.unpack_from(self.raw, self.at)
        size = LENGTH_AT.size + length
        if size < HEADER.size:
            raise CorruptRecordException(f"a record batch of {size} bytes")
        if size > left:
            return None  # cut by the fetch limit: the next fetch brings it whole
        view = memoryview(self.raw)[self.at : self.at + size]
        fields = HEADER.unpack_from(view)
        return Batch(view, fields[0], fields[0] + fields[6] + 1, fields[3], fields[5], fields[8],
                     max(0, fields[12]))  # fmt: skip

    def skip(self, batch: "Batch") -> None:
        """Go on behind the batch that was shown."""
        self.at += len(batch.view)


class Batch(NamedTuple):
    """A batch as it stands in the response."""

    view: memoryview
    base_offset: int
    next_offset: int
    magic: int
    attributes: int
    timestamp_ms_max: int
    records_count: int

    def decoder(self) -> DefaultRecordBatch:
        """Give aiokafka's view of it: checksum, producer, control and transaction flags."""
        return DefaultRecordBatch(self.view)

    @property
    def compressed(self) -> bool:
        """Whether its records are compressed."""
        return bool(self.attributes & CODEC_MASK)

    def plain(self, scratch: Scratch) -> bytes | None:
        """Copy it out, inflated; None if that needs more than `scratch` holds or does not work."""
        if not self.compressed:
            return bytes(self.view)
        try:
            size = _inflate(self.attributes & CODEC_MASK, self.view[HEADER.size :], scratch)
        except (cramjam.DecompressionError, ValueError, struct.error):
            return None
        head = bytearray(self.view[: HEADER.size])
        struct.pack_into(">i", head, 8, HEADER.size - LENGTH_AT.size + size)
        struct.pack_into(">h", head, CRC_FROM, self.attributes & ~CODEC_MASK)
        return b"".join((head, scratch[:size].data))


def _inflate(codec: int, payload: memoryview, scratch: Scratch) -> int:
    """Decompress into `scratch`; bytes written. Raises DecompressionError or ValueError."""
    name = CODECS.get(codec)
    if name is None:
        raise ValueError(f"unknown codec {codec}")
    if name != "snappy":
        return int(getattr(cramjam, name).decompress_into(payload, scratch))
    if bytes(payload[: len(XERIAL_MAGIC)]) != XERIAL_MAGIC:
        return _unsnap(payload, scratch, 0)
    written, at = 0, XERIAL_HEADER_BYTES
    while at < len(payload):
        (size,) = struct.unpack_from(">i", payload, at)
        at += 4
        if not 0 < size <= len(payload) - at:
            raise ValueError(f"snappy block of {size} bytes")
        written += _unsnap(payload[at : at + size], scratch, written)
        at += size
    return written


def _unsnap(block: memoryview, scratch: Scratch, at: int) -> int:
    size = int(cramjam.snappy.decompress_raw_len(block))
    if size > len(scratch) - at:
        raise ValueError(f"snappy block inflates to {size} bytes")
    return int(cramjam.snappy.decompress_raw_into(block, scratch[at : at + size].data))


def install() -> None:
    """Let aiokafka's fetcher keep the bytes of its responses. Harmless when done again."""
    aiokafka_fetcher.MemoryRecords = KeptRecords
