"""What the flow sees of the world: protocols, one per edge. Adapters are in stream/shell.

Rules of the room: no code, only agreements. Each says who calls it, on which thread, how often, and
what may be raised. Offsets: `offset_first` is the first of something, `offset_next` the one after
its last, so neighbours share a number.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from stream.flow.crash_note import CrashNote
from stream.wire.records import RecordColumns


@runtime_checkable
class Chunk(Protocol):
    """A stretch of one topic partition, as fetched. The chunks of a partition tile its offsets.

    It may hold no record: aborted transactions, markers and compacted-away offsets move
    `offset_next` too, and the first chunk after a start may be empty, only telling `end_offset`.
    """

    topic: str  # name on the broker
    partition: int
    offset_first: int  # fetch position before it
    offset_next: int  # fetch position after it; equal to offset_first in an empty one
    end_offset: int  # last stable offset, by the response that brought it; -1 unknown
    generation: int  # of the group, when it was fetched
    bytes_count: int  # on the wire, compressed
    plain_bytes_count: int  # decompressed; what it takes in memory, about
    records_count_max: int  # by the batch headers; compaction may have taken some
    timestamp_ms_max: int  # of the batch headers; -1 without records
    received_ms: int  # wall clock

    @property
    def caught_up(self) -> bool:
        """Whether nothing readable is left behind it, as far as its response knew."""

    def records(self) -> RecordColumns:
        """Read it; about 0.05 us a record; may be called again and from any thread.

        A record that cannot be read (broken compression, a batch that inflates beyond the limit)
        has neither key nor value.
        """


class StateStore(Protocol):
    """The engines' state, as the changelog restores it. Called on the event loop's thread."""

    def restore(
        self,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
    ) -> None:
        """Apply changelog records in their order; no value is a tombstone.

        Also called for partitions that are kept warm for another worker. Records may come again:
        they are absolute. Whatever it raises stops the worker.
        """

    def drop(self, partition: int) -> None:
        """Forget all state of a partition. Nothing happens if there is none."""

    def positions(self, partition: int) -> Mapping[str, int] | None:
        """Give the header's next offset per input topic (broker names); None without a header."""


class Intake(Protocol):
    """The flow, as the consumer feeds it. Called on the event loop's thread."""

    async def on_assigned(self, starts: Mapping[int, Mapping[str, int]]) -> None:
        """Take partitions over: next offset by topic, by partition number.

        Called after their state is restored and before their first chunk; always names every
        partition that this worker owns from now on (none is possible).
        """

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        """Hand all owned partitions over: commit what is applied, throw buffers away, then return.

        Called before the group rebalances, and before a stop; what it may take is limited, and one
        that is late or raises stops the worker. No chunk comes before the next `on_assigned`.
        """

    def on_chunk(self, chunk: Chunk) -> None:
        """Take a chunk; must return at once. From here on it counts as handed over."""


class Direct(Protocol):
    """Outputs that leave at once, outside the transaction. The worker's and the commit's thread."""

    def produce(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Sequence[Sequence[tuple[str, bytes]] | None] | None = None,
    ) -> None:
        """Queue records for one partition, in order."""

    def confirm(self) -> None:
        """Wait until everything produced is written. Raises WorkerStopError."""


class Transaction(Protocol):
    """One transaction after the other. One thread at a time: the worker's, or the commit's."""

    def begin(self) -> None:
        """Open one."""

    def produce(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Sequence[Sequence[tuple[str, bytes]] | None] | None = None,
    ) -> None:
        """Queue records for one partition, in order; no value is a tombstone."""

    def produce_header(self, topic: str, partition: int, key: bytes, value: bytes) -> None:
        """Queue the last state record of a partition."""

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit with the next offset to read by (topic, partition). Blocks.

        Raises WorkerStopError: the state in memory is ahead of the log then, and the worker stops.
        """


class Fetching(Protocol):
    """The tap of each input partition. Any thread."""

    def hold(self, topic: str, partition: int) -> None:
        """Stop fetching; chunks already on their way still come."""

    def release(self, topic: str, partition: int) -> None:
        """Fetch again."""

    def rests(self, topic: str, partition: int, position: int, until_ms: int) -> bool:
        """Whether nothing from `position` on is fetched yet, nor will be before `until_ms` (wall).

        False where that is not known.
        """


Rests = Callable[[str, int, int, int], bool]  # Fetching.rests


class CrashNotes(Protocol):
    """Notes of failed batches, by partition number; they outlive the process. The worker's thread.

    They are a help: a note that is lost costs one failure more, so neither method raises.
    """

    def read(self, partition: int) -> CrashNote | None:
        """Give the note that was written last; None without one."""

    def write(self, partition: int, note: CrashNote) -> None:
        """Keep a note instead of any other; it is on the disk when this returns."""
