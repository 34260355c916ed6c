"""Record batches as brokers and producers make them, and both ways to read them."""

import struct
from typing import Any

from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record._crecords.cutil import crc32c_cython
from aiokafka.record._crecords.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from stream.shell.batches import CRC_FROM, KeptRecords
from stream.shell.chunk import ChunkLimits, FetchedChunk, new_scratch, take_chunk

TOPIC = "clicks"
CODEC_NUMBERS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
CONTROL = 0x20
ABORT_KEY = struct.pack(">hh", 0, 0)
COMMIT_KEY = struct.pack(">hh", 0, 1)
NO_PRODUCER = -1


def reseal(raw: bytearray) -> bytes:
    """Write the length and the checksum that a changed batch has."""
    struct.pack_into(">i", raw, 8, len(raw) - 12)
    struct.pack_into(">I", raw, CRC_FROM - 4, crc32c_cython(bytes(raw[CRC_FROM:])))
    return bytes(raw)


def make_batch(
    base: int,
    rows: list[tuple[int, bytes | None, bytes | None]],
    *,
    codec: str = "none",
    producer: int = NO_PRODUCER,
    last: int | None = None,
    control: bool = False,
) -> bytes:
    """Build a batch of (offset, key, value) rows; `last` is its last offset if compacted away."""
    transactional = producer != NO_PRODUCER
    builder = DefaultRecordBatchBuilder(
        2, CODEC_NUMBERS[codec], int(transactional), producer, 0, 0, 1 << 30
    )
    for offset, key, value in rows:
        builder.append(offset - base, 1_000_000 + offset, key, value, [])
    raw = bytearray(builder.build())
    struct.pack_into(">q", raw, 0, base)
    if last is not None:
        struct.pack_into(">i", raw, 23, last - base)
    if control:
        (attributes,) = struct.unpack_from(">h", raw, CRC_FROM)
        struct.pack_into(">h", raw, CRC_FROM, attributes | CONTROL)
    return reseal(raw)


def partition_records(raw: bytes, position: int, aborted: list[tuple[int, int]]) -> Any:
    """Wrap a response as aiokafka's fetcher does."""
    return PartitionRecords(
        TopicPartition(TOPIC, 0), KeptRecords(raw), aborted, position, None, None, True,
        READ_COMMITTED,
    )  # fmt: skip


def read_stock(raw: bytes, position: int, aborted: list[tuple[int, int]]) -> Any:
    """Read a response record by record, as aiokafka: rows and the next position."""
    records = partition_records(raw, position, aborted)
    rows = [(r.offset, r.timestamp, r.key, r.value) for r in records]
    return rows, records.next_fetch_offset


def read_chunks(
    raw: bytes,
    position: int,
    aborted: list[tuple[int, int]],
    limits: ChunkLimits | None = None,
) -> list[FetchedChunk]:
    """Read a response in chunks, as the consumer's thread does."""
    limits = limits or ChunkLimits()
    records = partition_records(raw, position, aborted)
    scratch = new_scratch(limits)
    chunks = []
    while True:
        chunk = FetchedChunk(TOPIC, 0, records.next_fetch_offset, 10**9, 1)
        complete = take_chunk(chunk, records, limits, scratch)
        chunks.append(chunk)
        if complete:
            return chunks
