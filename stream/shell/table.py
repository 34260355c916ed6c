"""The user table: a Faust collection over the engines' state.

Rules of the room: runs on the app's event loop. The table owns one number per partition, the next
changelog offset that is not yet in the state; the state itself is the store's. Changelog chunks
must tile: one that starts behind that number is not applied but read again from there. Writes go
by the transaction, not by Faust; `advance` tells of them, so that a partition that stays is not
read again.
"""

from typing import Any, Final, Never

from faust.tables.base import Collection
from faust.types import TP

from stream.flow.ports import StateStore
from stream.flow.stops import RestoreError
from stream.shell.chunk import FetchedChunk

NEVER_TAIL: Final = 2  # with 1 Faust would read this worker's own writes back, forever


class UserTable(Collection):  # type: ignore[misc]
    """State of all users of the assigned partitions."""

    def __init__(self, app: Any, *, name: str, changelog_topic: Any, store: StateStore) -> None:
        super().__init__(
            app,
            name=name,
            changelog_topic=changelog_topic,
            key_type=bytes,
            value_type=bytes,
            recovery_buffer_size=NEVER_TAIL,
            standby_buffer_size=NEVER_TAIL,
        )
        self._state = store
        self._offset_next: dict[int, int] = {}

    # Changelog

    def expect(self, partition: int, offset: int) -> None:
        """Say where reading starts, if nothing of the partition is known."""
        self._offset_next.setdefault(partition, offset)

    def apply_chunk(self, chunk: FetchedChunk) -> int | None:
        """Restore from a chunk; the offset to read from instead, if it leaves a gap.

        Raises RestoreError on records that cannot be read, and whatever the store raises.
        """
        at = self._offset_next.setdefault(chunk.partition, chunk.offset_first)
        if chunk.offset_first > at:
            return at
        if chunk.offset_next <= at:
            return None
        if chunk.unreadable:
            raise RestoreError(f"{chunk} holds {chunk.unreadable} unreadable records")
        for piece in chunk.pieces():
            records = piece.since(at)
            if len(records.offsets):
                self._state.restore(chunk.partition, records.keys(), records.values())
        self._offset_next[chunk.partition] = chunk.offset_next
        return None

    def advance(self, partition: int, offset_last: int) -> None:
        """Note that the state holds all up to an offset: this worker wrote it. Any thread."""
        if self._offset_next.get(partition, -1) <= offset_last:
            self._offset_next[partition] = offset_last + 1

    # What Faust asks

    def persisted_offset(self, tp: TP) -> int | None:
        """Give the last changelog offset that is in the state."""
        at = self._offset_next.get(tp.partition)
        return None if at is None else at - 1

    async def on_start(self) -> None:
        """Start nothing: topics are made by `forecart topics apply`, the store is the flow's."""

    async def on_rebalance(
        self,
        assigned: set[TP],  # noqa: ARG002
        revoked: set[TP],
        newly_assigned: set[TP],  # noqa: ARG002
        generation_id: int = 0,  # noqa: ARG002
    ) -> None:
        """Drop what went to another worker."""
        for tp in revoked:
            if tp.topic == self.changelog_topic_name:
                self._offset_next.pop(tp.partition, None)
                self._state.drop(tp.partition)

    async def on_recovery_completed(
        self,
        active_tps: set[TP],  # noqa: ARG002
        standby_tps: set[TP],  # noqa: ARG002
    ) -> None:
        """Tell those who asked to hear of it."""
        await self.call_recover_callbacks()

    async def need_active_standby_for(self, tp: TP) -> bool:  # noqa: ARG002
        """Say that state is only here if it was read."""
        return True

    def reset_state(self) -> None:
        """Forget everything."""
        for partition in list(self._offset_next):
            self._state.drop(partition)
        self._offset_next.clear()

    def apply_changelog_batch(self, batch: Any) -> None:
        """Refuse: chunks come by `apply_chunk`."""
        if batch:
            raise RestoreError(f"{len(batch)} changelog events came through Faust's queue")

    # A mapping it is not

    def _no_mapping(self, *_: Any, **__: Any) -> Never:
        raise NotImplementedError("the user table has no per-key access: ask the engine")

    _has_key = _get_key = _set_key = _del_key = _no_mapping
    using_window = hopping = tumbling = _no_mapping

    def as_ansitable(self, **_: Any) -> str:
        """Draw nothing."""
        return ""

    def __len__(self) -> int:
        return len(self._offset_next)
