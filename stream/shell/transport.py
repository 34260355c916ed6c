"""Faust's consumer and transport, for chunks.

Rules of the room: runs on the app's event loop. Input chunks go the stock way (conductor, channel,
agent); changelog chunks go straight to the recovery, since Faust's queue for them is cleared
whenever flow resumes. Offsets of chunked topics are never committed from here: they belong into
the transaction. Other topics keep Faust's acks, gaps and commits. Exceptions that end the worker go
to `app.fail`, because aiokafka and Faust log and swallow them.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from faust import Schema
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP, ConsumerMessage

from stream.flow.stops import (
    ConsumerFailedError,
    HandOverError,
    RestoreError,
    WorkerStopError,
)
from stream.shell.chunk import FetchedChunk
from stream.shell.chunk_thread import ChunkThread

IDLE_WAIT_S: Final = 0.25  # without partitions to read; Faust sleeps a second


class ChunkSchema(Schema):  # type: ignore[misc]
    """Decodes nothing: an event's value is its chunk."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Build the decoder that Faust calls with each message."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return create_event(None, message.value, None, message)

        return decode


class _ReadOffsets(defaultdict[TP, "int | None"]):
    """Faust's last offset per partition: none for chunked topics, whose offsets tile anyway."""

    def __init__(self, chunked: Any) -> None:
        super().__init__(lambda: None)
        self._chunked = chunked

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        if not self._chunked(tp):
            super().__setitem__(tp, offset)


class ChunkConsumer(Consumer):  # type: ignore[misc]
    """Delivers chunks of `app.chunk_topics`, applies chunks of changelogs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._active_changed = asyncio.Event()
        self._intake_lock = asyncio.Lock()  # on_assigned and on_revoked never overlap
        self._owned: frozenset[int] | None = None  # what on_assigned told the flow
        self._revoking = False
        super().__init__(*args, **kwargs)
        self._read_offset = _ReadOffsets(self.is_chunked)

    def _new_consumer_thread(self) -> ChunkThread:
        return ChunkThread(self, loop=self.loop, beacon=self.beacon)

    def is_input(self, tp: TP) -> bool:
        """Whether a partition is of a topic whose chunks go to an agent."""
        return tp.topic in self.app.chunk_topics

    def is_chunked(self, tp: TP) -> bool:
        """Whether a partition is read by chunks: an input or a changelog."""
        return self.is_input(tp) or self._is_changelog_tp(tp)

    def inputs(self) -> frozenset[TP]:
        """Name the input partitions of the present assignment."""
        return frozenset(tp for tp in self.assignment() if self.is_input(tp))

    # Delivery

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            await super()._drain_messages(fetcher)
        except WorkerStopError as error:
            self.app.fail(error)
            raise
        except Exception as error:
            self.app.fail(ConsumerFailedError(f"reading failed: {error!r}"))
            raise

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109
        active = self._get_active_partitions()
        if self.flow_active and not self.app.client_only and not active:
            self._active_changed.clear()
            await self.wait(self._active_changed, timeout=IDLE_WAIT_S)
            return {}, self._get_active_partitions()
        records, active = await super()._wait_next_records(timeout)
        for tp in [tp for tp in records or () if self._is_changelog_tp(tp)]:
            for chunk in records.pop(tp):
                await self._apply(TP(*tp), chunk)
        return records, active

    async def _apply(self, tp: TP, chunk: FetchedChunk) -> None:
        """Restore from a changelog chunk, whether flow is active or not: it won't come again."""
        if chunk.generation != self.app.consumer_generation_id:
            return  # of an assignment that is over; the next one seeks
        try:
            offset = self.app.tables.recovery.apply_chunk(tp, chunk)
        except WorkerStopError as error:
            self.app.fail(error)
            raise
        except Exception as error:
            failure = RestoreError(f"{chunk} cannot be applied: {error!r}")
            self.app.fail(failure)
            raise failure from error
        if offset is not None:
            self.log.warning("%r starts behind %s: read again from there", chunk, offset)
            await self._thread.reseek(tp, offset)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if not isinstance(record, FetchedChunk):
            return super()._to_message(tp, record)
        return ConsumerMessage(
            record.topic, record.partition, max(record.offset_first, record.offset_next - 1),
            record.timestamp_ms_max / 1000.0, 0, None, None, record, None, 0, 0, tp,
            generation_id=record.generation,
        )  # fmt: skip

    def highwater(self, tp: TP) -> int | None:
        """As Faust's, but None for a partition that left meanwhile, instead of raising."""
        try:
            offset: int | None = super().highwater(tp)
        except (AssertionError, AttributeError):
            return None
        return offset

    def on_buffer_drop(self, tp: TP) -> None:
        """Wake up the reader that found no partition to read."""
        super().on_buffer_drop(tp)
        self._active_changed.set()

    def resume_partitions(self, tps: Any) -> None:
        """Wake up the reader that found no partition to read."""
        super().resume_partitions(tps)
        self._active_changed.set()

    # Back-pressure

    def hold(self, tps: Any) -> None:
        """Stop fetching partitions; any thread."""
        self._thread.hold(tps)

    def release(self, tps: Any) -> None:
        """Fetch them again; any thread."""
        self._thread.release(tps)

    # Positions, offsets, rebalances

    async def perform_seek(self) -> None:
        """Seek topics that are not chunked to the group's offsets; the recovery starts the rest."""
        others = [tp for tp in self.assignment() if not self.is_chunked(tp)]
        if not others:
            return
        committed = await self._thread.seek_others(others)
        self._read_offset.update(committed)
        self._committed_offset.update(
            {TP(*tp): offset or None for tp, offset in committed.items() if offset is not None}
        )

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        chunked = [tp for tp in offsets if self.is_chunked(tp)]
        if chunked:
            raise RuntimeError(f"Faust wants to commit {chunked}: these belong to the transaction")
        return bool(await super()._commit(offsets))

    async def wait_empty(self) -> None:
        """As Faust's, of topics that are not chunked, but not without end."""
        limit_s = self.app.hand_over_deadline_s / 2
        try:
            await asyncio.wait_for(super().wait_empty(), limit_s)
        except TimeoutError:
            self.log.warning(
                "%d messages are still not acked after %.1f s: they will be read again",
                len(self._unacked_messages), limit_s,
            )  # fmt: skip
            await self.commit_and_end_transactions()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """As Faust's."""
        self._revoking = False
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop the flow as Faust does, then let the flow hand its partitions over."""
        self._revoking = True
        await super().on_partitions_revoked(revoked)
        await self._hand_over("rebalance")

    async def on_stop(self) -> None:
        """Let the flow hand over what it owns while this worker is still a member."""
        self.stop_flow()
        await self._hand_over("stop")
        await super().on_stop()

    async def assign_intake(self, starts: Mapping[TP, int], generation: int) -> bool:
        """Tell the flow what it owns; False if a rebalance came first."""
        by_partition: dict[int, dict[str, int]] = defaultdict(dict)
        for tp, offset in starts.items():
            by_partition[tp.partition][tp.topic] = offset
        async with self._intake_lock:
            if self._revoking or generation != self.app.consumer_generation_id:
                return False
            await self.app.intake.on_assigned(dict(by_partition))
            self._owned = frozenset(by_partition)
            return True

    async def _hand_over(self, why: str) -> None:
        async with self._intake_lock:
            owned, self._owned = self._owned, None
            if owned is None or self.app.failure is not None:
                return
            began = time.monotonic()
            limit_s = self.app.hand_over_deadline_s
            try:
                await asyncio.wait_for(self.app.intake.on_revoked(owned), limit_s)
            except TimeoutError:
                failure = HandOverError(
                    f"partitions {sorted(owned)} not handed over in {limit_s} s"
                )
                self.app.fail(failure)
            except WorkerStopError as error:
                self.app.fail(error)
            except Exception as error:  # noqa: BLE001 goes to app.fail, which ends the worker
                self.app.fail(HandOverError(f"partitions {sorted(owned)} ({why}): {error!r}"))
            else:
                self.log.info(
                    "handed over %s (%s) in %.3f s", sorted(owned), why, time.monotonic() - began
                )


class ChunkTransport(Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with the consumer above."""

    Consumer = ChunkConsumer
