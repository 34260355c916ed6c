"""Faust's recovery, for changelogs that come in chunks, and the way back into the input.

Rules of the room: runs on the app's event loop. Faust keeps the sequence (ends, positions, active
partitions, standbys, ready); chunks are applied here as they are fetched. Then the input goes on
where the header of the restored state says, and only if the group's offsets say the same. A
disagreement is waited out for the time that a transaction may take to end, by restoring again,
which reads both anew; then the worker refuses to start.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP
from mode import Service

from stream.flow.stops import PartitionsDifferError, WorkerStopError
from stream.shell.chunk import FetchedChunk
from stream.shell.memory import give_back
from stream.shell.positions import Disagreement, InputOffsets, choose_starts

REREAD_S: Final = 0.5  # between two looks at a disagreement
METADATA_WAIT_S: Final = 15.0  # for a topic that the broker has just made
METADATA_POLL_S: Final = 0.2
GRACE_S: Final = 2.0  # beyond the transaction time-out, for the coordinator's own clock


class ChunkRecovery(Recovery):  # type: ignore[misc]
    """Restores from chunks and starts the inputs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._disagree_since: tuple[int, float] | None = None  # generation, monotonic
        self._looked_at = 0.0  # monotonic: the last look at a disagreement

    # Restore

    @Service.task  # type: ignore[untyped-decorator]
    async def _slurp_changelogs(self) -> None:
        """Do nothing: chunks come by `apply_chunk`, not by Faust's queue."""

    def _set_recovery_started(self) -> None:
        super()._set_recovery_started()
        self.signal_recovery_end.clear()  # one of an earlier recovery must not end this one

    async def _seek_offsets(
        self, consumer: Any, tps: set[TP], offsets: Mapping[TP, int], title: str
    ) -> None:
        # Faust seeks to the last applied offset, which may be below the log's start.
        positions = {tp: offsets[tp] + 1 for tp in tps}
        for tp, offset in positions.items():
            self.tp_to_table[tp].expect(tp.partition, offset)
        self.log.info("Reading %s changelog partitions from %s", title, positions)
        await consumer.seek_wait(positions)

    def apply_chunk(self, tp: TP, chunk: FetchedChunk) -> int | None:
        """Apply a changelog chunk; the offset to read again from, if it leaves a gap."""
        now = time.monotonic()
        if tp in self.active_tps:
            offsets, received_at = self.active_offsets, self._active_events_received_at
        elif tp in self.standby_tps:
            offsets, received_at = self.standby_offsets, self._standby_events_received_at
        else:
            return None
        received_at[tp] = now
        table = self.tp_to_table[tp]
        gap_at: int | None = table.apply_chunk(chunk)
        if gap_at is not None:
            return gap_at
        offsets[tp] = table.persisted_offset(tp)
        self._last_flush_at = now
        if self.in_recovery and not self.need_recovery():
            self._set_recovery_ended()
            self.signal_recovery_end.set()
        if not self.tables.standbys_ready and not self.standby_remaining_total():
            self.tables.on_standbys_ready()
        return None

    def remaining(self) -> dict[int, int]:
        """Count the offsets that the partitions in recovery still have to read."""
        return {tp.partition: count for tp, count in self.active_remaining().items() if count > 0}

    # Start

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Start the inputs, tell the flow, then let Faust resume."""
        consumer = self.app.consumer
        # Faust resumes partitions before it seeks, with flow active: a chunk of the old position
        # would get through.
        consumer.stop_flow()
        try:
            starts = await self._starts(generation_id)
            if starts is None:
                raise RebalanceAgain
            await consumer._thread.start_inputs(starts)
            if not await consumer.assign_intake(starts, generation_id):
                raise RebalanceAgain
        except WorkerStopError as error:
            self.app.fail(error)
            raise ServiceStopped from error
        await super().on_recovery_completed(generation_id)
        give_back()
        consumer.hold(self.active_tps)  # else it would fetch what this worker itself writes

    async def _starts(self, generation: int) -> dict[TP, int] | None:
        """Find where the inputs go on; None to restore again."""
        consumer = self.app.consumer
        inputs = consumer.inputs()
        if not inputs:
            return {}
        thread = consumer._thread
        offsets = InputOffsets(
            committed=await thread.committed(inputs),
            first=await thread.first_offsets(inputs),
            end=await thread.ends(inputs),
        )
        headers = {p: self.app.store.positions(p) for p in {tp.partition for tp in inputs}}
        try:
            starts = choose_starts(inputs, headers, offsets)
        except Disagreement as disagreement:
            if await self._wait_out(disagreement, generation):
                return None
            raise disagreement.refusal(self.app.conf.id) from None
        self._disagree_since = None
        return starts

    async def _wait_out(self, disagreement: Disagreement, generation: int) -> bool:
        """Order another restore if there is time left for one."""
        now, looked_at = time.monotonic(), self._looked_at
        self._looked_at = now
        # Halted between two looks: what was read before it says nothing of what others did since.
        halted = now - looked_at > self.app.transaction_timeout_s
        if self._disagree_since is None or self._disagree_since[0] != generation or halted:
            self._disagree_since = (generation, now)
            self.log.warning("%s; waiting for open transactions to end", disagreement)
        if now - self._disagree_since[1] > self.app.transaction_timeout_s + GRACE_S:
            return False
        await asyncio.sleep(REREAD_S)
        self.signal_recovery_start.set()
        return True


class ChunkTableManager(TableManager):  # type: ignore[misc]
    """Faust's table manager with the recovery above."""

    _recovery: ChunkRecovery | None = None

    @property
    def recovery(self) -> ChunkRecovery:
        """The recovery service, made on first use."""
        if self._recovery is None:
            self._recovery = ChunkRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """As Faust's, without its sleep of a second: the conductor waits for the tables anyway."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Check that topics are co-partitioned, then as Faust's."""
        try:
            ready = await self._co_partitioned(assigned)
        except PartitionsDifferError as error:
            self.app.fail(error)
            return
        if ready:
            await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def _co_partitioned(self, assigned: set[TP]) -> bool:
        """Wait for metadata of all topics and compare; False if the group has to assign again."""
        thread = self.app.consumer._thread
        topics = sorted(self.app.chunk_topics | self.changelog_topics)
        deadline = time.monotonic() + METADATA_WAIT_S
        counts = {topic: thread.partitions_count(topic) for topic in topics}
        while None in counts.values() and time.monotonic() < deadline:
            await thread.refresh_metadata()  # a topic made a moment ago is not known everywhere
            await asyncio.sleep(METADATA_POLL_S)
            counts = {topic: thread.partitions_count(topic) for topic in topics}
        if len(set(counts.values())) > 1 or None in counts.values():
            listed = ", ".join(f"{topic} {count or 'missing'}" for topic, count in counts.items())
            raise PartitionsDifferError(
                f"these topics must have the same number of partitions: {listed}."
                " Create the missing ones with `forecart topics apply`; a topic with another number"
                " must be deleted and created again, together with user-state"
            )
        numbers = {
            topic: {tp.partition for tp in assigned if tp.topic == topic} for topic in topics
        }
        inputs = [numbers[topic] for topic in self.app.chunk_topics]
        changelogs = [numbers[topic] for topic in self.changelog_topics]
        if all(numbers_ == inputs[0] for numbers_ in inputs) and all(
            inputs[0] <= numbers_ for numbers_ in changelogs
        ):
            return True
        self.log.warning("assigned before all topics were known (%s): joining again", numbers)
        thread.rejoin()
        return False
