"""Chunks: what a fetch response brought of one partition, cut at batch boundaries.

Rules of the room: same rules as aiokafka's PartitionRecords (checksum, aborted transactions,
control batches, a first batch that starts before the position), per batch. `offset_first` and
`offset_next` are fetch positions, so that the chunks of a partition tile its offsets by
construction; records are read only when somebody asks.
"""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException

from stream.shell.batches import Batch, KeptRecords, Scratch
from stream.wire.records import RecordColumns, joined, read_batch, unreadable

MAGIC_MIN: Final = 2  # Kafka 4 has no older format
PIECE_BYTES: Final = 256 << 10  # a batch from here on is read by itself where pieces will do
OFFSET_MAX: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How much a chunk may hold."""

    plain_bytes_max: int = 8 << 20  # a chunk ends before the batch that would take it past this
    batch_bytes_max: int = 64 << 20  # a batch that inflates to more is not read
    offsets_max: int = 65_536  # that it covers; a batch of more, which may be small, is cut

    def __post_init__(self) -> None:
        if not 0 < self.plain_bytes_max <= self.batch_bytes_max or self.offsets_max < 1:
            raise ValueError(f"0 < plain_bytes_max <= batch_bytes_max, 0 < offsets_max: {self}")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A batch whose records cannot be read: their offsets and a time."""

    offset_first: int
    offset_stop: int
    timestamp_ms: int


class Plain(NamedTuple):
    """A batch, inflated, the offsets that it covers, and those of them that are wanted."""

    plain: bytes | memoryview
    base_offset: int
    next_offset: int
    offset_first: int
    offset_stop: int


class FetchedChunk:
    """See stream.flow.ports.Chunk. `unreadable` counts offsets in batches that cannot be read.

    `passing`: it is applied at once, so batches that are not compressed may stay in the response.
    Others copy them: they would keep all of it, and count only what is theirs.
    """

    __slots__ = (
        "_parts", "bytes_count", "end_offset", "generation", "offset_first", "offset_next",
        "partition", "passing", "plain_bytes_count", "received_ms", "records_count_max",
        "timestamp_ms_max", "topic", "unreadable",
    )  # fmt: skip

    def __init__(
        self, topic: str, partition: int, offset_first: int, end_offset: int, generation: int,
        *, passing: bool = False,
    ) -> None:  # fmt: skip
        self.topic = topic
        self.partition = partition
        self.offset_first = offset_first
        self.offset_next = offset_first
        self.end_offset = end_offset
        self.generation = generation
        self.passing = passing
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

    def has_room(self, plain_bytes: int, offset_next: int, limits: ChunkLimits) -> bool:
        """Whether a batch still fits; one always does."""
        if not self._parts:
            return True
        first = self._parts[0].offset_first  # before it there may be any number without a record
        return (
            self.plain_bytes_count + plain_bytes <= limits.plain_bytes_max
            and offset_next - first <= limits.offsets_max
        )

    def add(self, batch: Batch, plain: bytes | memoryview | None, first: int, stop: int) -> None:
        """Append a batch's records from `first` up to `stop`; `plain` None: they are unreadable."""
        if plain is None:
            self.unreadable += stop - first
            self.records_count_max += stop - first
            self._parts.append(Unreadable(first, stop, batch.timestamp_ms_max))
        else:
            self.plain_bytes_count += len(plain)
            self.records_count_max += min(batch.records_count, stop - first)
            self._parts.append(Plain(plain, batch.base_offset, batch.next_offset, first, stop))
        self.timestamp_ms_max = max(self.timestamp_ms_max, batch.timestamp_ms_max)

    def records(self) -> RecordColumns:
        """Read it: 0.05 us a record of 200 bytes. See stream.flow.ports.Chunk."""
        return joined([_read(part) for part in self._parts])

    def pieces(self) -> Iterator[RecordColumns]:
        """Read it in pieces: large batches where they lie, the small ones between them joined."""
        small: list[RecordColumns] = []
        bytes_count = 0
        for part in self._parts:
            size = 0 if isinstance(part, Unreadable) else len(part.plain)
            if small and bytes_count + size > PIECE_BYTES:
                yield joined(small)
                small, bytes_count = [], 0
            small.append(_read(part))
            bytes_count += size
        if small:
            yield joined(small)


def _read(part: Plain | Unreadable) -> RecordColumns:
    if isinstance(part, Unreadable):
        return unreadable(part.offset_first, part.offset_stop, part.timestamp_ms)
    return read_batch(*part)


def new_scratch(limits: ChunkLimits) -> Scratch:
    """Make the buffer that batches are inflated into; takes memory only where it is written."""
    return np.empty(limits.batch_bytes_max, dtype=np.uint8)


def take_chunk(chunk: FetchedChunk, records: Any, limits: ChunkLimits, scratch: Scratch) -> bool:
    """Move batches of aiokafka's PartitionRecords into a chunk; whether it took all there are.

    `records.next_fetch_offset` moves with it; the caller tells aiokafka. The chunk has at least
    one batch if there is any; of one that covers too many offsets, the next part of it. Raises
    CorruptRecordException on a wrong checksum and on lengths and offsets that cannot be.
    """
    # Never asked, and it refers back: with it a response lives until cycles are looked for.
    records._records_iterator = None
    kept: KeptRecords = records._records
    read_committed = records._isolation_level == READ_COMMITTED
    while (batch := kept.peek()) is not None:
        if batch.magic < MAGIC_MIN:
            raise CorruptRecordException(f"record format {batch.magic} in {chunk}")
        decoder = batch.decoder()
        if records._check_crcs and not decoder.validate_crc():
            raise CorruptRecordException(f"wrong checksum in {chunk} at {batch.base_offset}")
        if not 0 <= batch.base_offset <= batch.next_offset <= OFFSET_MAX:
            raise CorruptRecordException(
                f"offsets {batch.base_offset} to {batch.next_offset - 1} of a batch in {chunk}"
            )
        position = records.next_fetch_offset  # a fetch may begin inside a batch
        if _holds_records(records, decoder, read_committed) and batch.next_offset > position:
            first = max(batch.base_offset, position)
            lent = chunk.passing and not batch.compressed
            plain = batch.view if lent else batch.plain(scratch)
            if not chunk.has_room(0 if plain is None else len(plain), batch.next_offset, limits):
                break
            stop = min(batch.next_offset, first + limits.offsets_max)
            chunk.add(batch, plain, first, stop)
            if stop < batch.next_offset:
                records.next_fetch_offset = stop
                break
        chunk.bytes_count += len(batch.view)
        kept.skip(batch)
        records.next_fetch_offset = max(records.next_fetch_offset, batch.next_offset)
    chunk.offset_next = records.next_fetch_offset
    return kept.peek() is None


def _holds_records(records: Any, decoder: Any, read_committed: bool) -> bool:
    """Tell records from markers and from what an aborted transaction left behind."""
    if read_committed:
        records._consume_aborted_up_to(decoder.base_offset)
        if decoder.is_control_batch and _is_abort(records, decoder):
            records._aborted_producers.discard(decoder.producer_id)
        if decoder.is_transactional and decoder.producer_id in records._aborted_producers:
            return False
    return not decoder.is_control_batch


def _is_abort(records: Any, decoder: Any) -> bool:
    try:
        return bool(records._contains_abort_marker(decoder))
    # aiokafka trusts the marker's key, and its length: beyond 2**63 less some, no bytes are made.
    except (TypeError, ValueError, struct.error, OverflowError, MemoryError) as error:
        raise CorruptRecordException(f"a control batch without a marker: {error}") from error
