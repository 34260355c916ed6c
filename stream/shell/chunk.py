"""Chunks: what a fetch response brought of one partition, cut at batch boundaries.

Rules of the room: same rules as aiokafka's PartitionRecords (checksum, aborted transactions,
control batches, a first batch that starts before the position), per batch. `offset_first` and
`offset_next` are fetch positions, so that the chunks of a partition tile its offsets by
construction; records are read only when somebody asks.
"""

import time
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException

from stream.shell.batches import Batch, KeptRecords, Scratch
from stream.wire.records import RecordColumns, joined, read_batch, unreadable

MAGIC_MIN: Final = 2  # Kafka 4 has no older format


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How much a chunk may hold."""

    plain_bytes_max: int = 8 << 20  # a chunk ends before the batch that would take it past this
    batch_bytes_max: int = 64 << 20  # a batch that inflates to more is not read

    def __post_init__(self) -> None:
        if not 0 < self.plain_bytes_max <= self.batch_bytes_max:
            raise ValueError(f"0 < plain_bytes_max <= batch_bytes_max: {self}")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A batch whose records cannot be read: their offsets and a time."""

    base_offset: int
    next_offset: int
    timestamp_ms: int


class Plain(NamedTuple):
    """A batch, inflated, and the offsets that it covers."""

    plain: bytes
    base_offset: int
    next_offset: int


class FetchedChunk:
    """See stream.flow.ports.Chunk. `unreadable` counts offsets in batches that cannot be read."""

    __slots__ = (
        "_parts", "bytes_count", "end_offset", "generation", "offset_first", "offset_next",
        "partition", "plain_bytes_count", "received_ms", "records_count_max", "timestamp_ms_max",
        "topic", "unreadable",
    )  # fmt: skip

    def __init__(
        self, topic: str, partition: int, offset_first: int, end_offset: int, generation: int
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offset_first = offset_first
        self.offset_next = offset_first
        self.end_offset = end_offset
        self.generation = generation
        self.bytes_count = 0
        self.plain_bytes_count = 0
        self.records_count_max = 0
        self.timestamp_ms_max = -1
        self.received_ms = time.time_ns() // 1_000_000
        self.unreadable = 0
        self._parts: list[Plain | Unreadable] = []

    def __repr__(self) -> str:
        return f"<chunk {self.topic}[{self.partition}] {self.offset_first}..{self.offset_next}>"

    @property
    def caught_up(self) -> bool:
        """Whether nothing readable is left behind it, as far as its response knew."""
        return 0 <= self.end_offset <= self.offset_next

    def add(self, batch: Batch, plain: bytes | None) -> None:
        """Append a batch of records; `plain` is None if they cannot be read."""
        if plain is None:
            first = max(batch.base_offset, self.offset_first)
            self.unreadable += batch.next_offset - first
            self.records_count_max += batch.next_offset - first
            self._parts.append(Unreadable(first, batch.next_offset, batch.timestamp_ms_max))
        else:
            self.plain_bytes_count += len(plain)
            self.records_count_max += batch.records_count
            self._parts.append(Plain(plain, batch.base_offset, batch.next_offset))
        self.timestamp_ms_max = max(self.timestamp_ms_max, batch.timestamp_ms_max)

    def records(self) -> RecordColumns:
        """Read it: 0.05 us a record of 200 bytes. See stream.flow.ports.Chunk."""
        parts = [
            unreadable(part.base_offset, part.next_offset, part.timestamp_ms)
            if isinstance(part, Unreadable)
            else read_batch(part.plain, part.base_offset, part.next_offset)
            for part in self._parts
        ]
        # A fetch may begin inside a batch.
        return joined(parts).since(self.offset_first)


def new_scratch(limits: ChunkLimits) -> Scratch:
    """Make the buffer that batches are inflated into; takes memory only where it is written."""
    return np.empty(limits.batch_bytes_max, dtype=np.uint8)


def take_chunk(chunk: FetchedChunk, records: Any, limits: ChunkLimits, scratch: Scratch) -> bool:
    """Move batches of aiokafka's PartitionRecords into a chunk; whether it took all there are.

    `records.next_fetch_offset` moves with it; the caller tells aiokafka. The chunk has at least
    one batch if there is any. Raises CorruptRecordException on a wrong checksum.
    """
    kept: KeptRecords = records._records
    read_committed = records._isolation_level == READ_COMMITTED
    while (batch := kept.peek()) is not None:
        if batch.magic < MAGIC_MIN:
            raise CorruptRecordException(f"record format {batch.magic} in {chunk}")
        decoder = batch.decoder()
        if records._check_crcs and not decoder.validate_crc():
            raise CorruptRecordException(f"wrong checksum in {chunk} at {batch.base_offset}")
        if not _holds_records(records, decoder, read_committed) or (
            batch.next_offset <= chunk.offset_first
        ):
            chunk.bytes_count += len(batch.view)
        else:
            plain = batch.plain(scratch)
            size = 0 if plain is None else len(plain)
            if chunk.records_count_max and (
                chunk.plain_bytes_count + size > limits.plain_bytes_max
            ):
                break
            chunk.bytes_count += len(batch.view)
            chunk.add(batch, plain)
        kept.skip(batch)
        records.next_fetch_offset = max(records.next_fetch_offset, batch.next_offset)
    chunk.offset_next = records.next_fetch_offset
    return kept.peek() is None


def _holds_records(records: Any, decoder: Any, read_committed: bool) -> bool:
    """Tell records from markers and from what an aborted transaction left behind."""
    if read_committed:
        records._consume_aborted_up_to(decoder.base_offset)
        if decoder.is_control_batch and records._contains_abort_marker(decoder):
            records._aborted_producers.discard(decoder.producer_id)
        if decoder.is_transactional and decoder.producer_id in records._aborted_producers:
            return False
    return not decoder.is_control_batch
