"""The consumer's own thread: aiokafka, drained by chunks instead of by records.

Rules of the room: everything here runs on the thread's loop, except the methods marked "any
thread". Every assigned partition that is not held is drained on each call, since aiokafka sends no
further fetch to a broker while a fresh response of any of its partitions lies undrained. A held
partition is paused in aiokafka; a response that is already here stays until it is released. Topics
that are not chunked are read as Faust reads them.
"""

import asyncio
import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from mode.threads import WorkerThread

from stream.flow.stops import HoleError, RestoreError
from stream.shell import batches
from stream.shell.chunk import ChunkLimits, FetchedChunk, new_scratch, take_chunk
from stream.shell.group import Membership
from stream.shell.pace import HANG_MS, Pace

POLL_S: Final = 0.05  # how soon a stopped flow and a coordinator's error are noticed
FETCH_BYTES_MAX: Final = 50 << 20  # of one response; aiokafka's default

batches.install()


class _DaemonThread(WorkerThread):  # type: ignore[misc]
    """Ends with the process: one that hangs must not keep it."""

    def __init__(self, service: Any) -> None:
        super().__init__(service)
        self.daemon = True


class ChunkThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Drains chunked topics into `FetchedChunk`s. Made by ChunkConsumer."""

    Worker = _DaemonThread

    def __post_init__(self) -> None:
        """Finish construction; called by Faust."""
        super().__post_init__()
        self.limits: ChunkLimits = self.app.chunk_limits
        self._scratch = new_scratch(self.limits)
        self._pace = Pace(self.app.fetch_wait_ms)
        self._held: frozenset[TP] = frozenset()
        self._expected: dict[TP, int] = {}  # next offset of an input partition that was started
        self._told_end: set[TP] = set()  # inputs whose end offset was told since they were started

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = HANG_MS
        consumer._fetch_min_bytes = 1
        consumer._fetch_max_bytes = FETCH_BYTES_MAX
        return consumer

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Hold the inputs at once: where they start is known only after the restore."""
        self._expected.clear()
        self._told_end.clear()
        self._held = frozenset()  # aiokafka starts every assignment with all of it unpaused
        self._hold(frozenset(tp for tp in assigned if tp.topic in self.app.chunk_topics))
        await super().on_partitions_assigned(assigned, generation_id)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Stay silent: Faust's own check gives false alarms and can crash (see watchdog.py)."""

    def verify_recovery_event_path(self, now: float, tp: TP) -> None:
        """Stay silent, as above."""

    # Draining

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Collection[TP],
        timeout: float | None = None,  # noqa: ASYNC109 Faust's signature
        max_records: int | None = None,
    ) -> dict[TP, list[Any]]:
        fetcher = consumer._fetcher
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (timeout or 0.0)
        with _fetching(fetcher._subscriptions):
            while self.consumer.flow_active:
                if consumer._closed or fetcher._closed:
                    raise ConsumerStoppedError
                consumer._coordinator.check_errors()
                if not fetcher._subscriptions.reassignment_in_progress:
                    drained = self._drain(fetcher, active_partitions, max_records)
                    if drained:
                        return drained
                left = deadline - loop.time()
                if left <= 0:
                    break
                waiter = fetcher._create_fetch_waiter()
                await asyncio.wait([waiter], timeout=min(left, POLL_S))
                if waiter.done():
                    waiter.result()
                else:
                    waiter.cancel()
        return {}

    def _drain(
        self, fetcher: Any, active: Collection[TP], records_max: int | None
    ) -> dict[TP, list[Any]]:
        drained: dict[TP, list[Any]] = {}
        done: dict[TP, Any] = {}
        assigned = fetcher._subscriptions.is_assigned
        for tp in list(fetcher._records):
            result = fetcher._records[tp]
            if self._pace.rests(tp, result):
                continue
            if not assigned(tp):
                del fetcher._records[tp]
            elif tp not in active or tp in self._held:
                _unblock(fetcher, result)
            elif type(result) is not FetchResult:
                if drained:
                    break  # its error is raised by the next call
                _forget(fetcher, tp)
                result.check_raise()
            elif self._is_chunked(tp):
                chunk = self._take(fetcher, tp, result, done)
                if chunk is not None:
                    drained[tp] = [chunk]
            elif records_max is None or records_max > 0:
                records = result.getall(records_max)
                if not result.has_more():
                    _forget(fetcher, tp)
                if records:
                    drained[tp] = records
                    records_max = None if records_max is None else records_max - len(records)
        chunks = [found[0] for found in drained.values() if isinstance(found[0], FetchedChunk)]
        self._pace.drained(fetcher, done, chunks)
        for tp, chunk in self._ends(fetcher, active):
            drained.setdefault(tp, [chunk])
        return drained

    def _is_chunked(self, tp: TP) -> bool:
        return tp.topic in self.app.chunk_topics or tp.topic in self.app.tables.changelog_topics

    def _take(self, fetcher: Any, tp: TP, result: Any, done: dict[TP, Any]) -> FetchedChunk | None:
        records = result._partition_records
        assignment = result._assignment
        state = assignment.state_value(tp)
        if (
            records is None
            or not assignment.active
            or state is None
            or (state._position != records.next_fetch_offset)
        ):
            _forget(fetcher, tp)  # a seek or a rebalance made it stale
            return None
        chunk = FetchedChunk(
            tp.topic, tp.partition, records.next_fetch_offset, _end_offset(state),
            self._ensure_consumer()._coordinator.generation,
            passing=tp.topic not in self.app.chunk_topics,
        )  # fmt: skip
        expected = self._expected.get(tp)
        if expected is not None and chunk.offset_first != expected:
            raise HoleError(
                f"fetch position of {tp.topic}[{tp.partition}] is {chunk.offset_first} after"
                f" {expected}: it was moved by a reset, offsets between are lost"
            )
        try:
            complete = take_chunk(chunk, records, self.limits, self._scratch)
        except CorruptRecordException as error:
            if tp.topic in self.app.chunk_topics:
                raise  # another replica's may be whole, and inputs are kept for days only
            raise RestoreError(f"the changelog is damaged: {error}") from error
        result._update_position()
        if complete:
            done[tp] = result
        else:
            _unblock(fetcher, result)
        if expected is not None:
            self._expected[tp] = chunk.offset_next
            self._told_end.add(tp)
        return chunk if chunk.offset_next > chunk.offset_first else None

    def _ends(self, fetcher: Any, active: Collection[TP]) -> Iterator[tuple[TP, FetchedChunk]]:
        """Make an empty chunk for each started input that answered, but has nothing to read."""
        if len(self._told_end) == len(self._expected):
            return
        consumer = self._ensure_consumer()
        for tp, position in self._expected.items():
            if tp in self._told_end or tp not in active or tp in fetcher._records:
                continue
            state = _state(consumer, tp)
            if state is not None and state.lso is not None and state._position == position:
                self._told_end.add(tp)
                yield tp, FetchedChunk(
                    tp.topic, tp.partition, position, _end_offset(state),
                    consumer._coordinator.generation,
                )  # fmt: skip

    # Holding and starting

    def hold(self, tps: Iterable[TP]) -> None:
        """Stop fetching partitions; any thread. Chunks already handed out still arrive."""
        self.thread_loop.call_soon_threadsafe(self._hold, frozenset(tps))

    def release(self, tps: Iterable[TP]) -> None:
        """Fetch them again; any thread."""
        self.thread_loop.call_soon_threadsafe(self._release, frozenset(tps))

    def _hold(self, tps: frozenset[TP]) -> None:
        self._held |= tps
        for tp in tps:
            state = _state(self._ensure_consumer(), tp)
            if state is not None:
                state.pause()

    def _release(self, tps: frozenset[TP]) -> None:
        self._held -= tps
        consumer = self._ensure_consumer()
        for tp in tps:
            state = _state(consumer, tp)
            if state is not None:
                state.resume()
        fetcher = consumer._fetcher
        fetcher._notify(fetcher._wait_consume_future)
        for waiter in fetcher._fetch_waiters:  # a response may have been waiting for this
            fetcher._notify(waiter)

    def rests(self, tp: TP, position: int, until_ms: int) -> bool:
        """Whether an input's records before `position` are all that come before `until_ms`.

        Any thread: `_drain` sets what is expected before the pace rests.
        """
        fetcher = self._ensure_consumer()._fetcher
        if self._pace.rests_until_ms(fetcher, tp) < until_ms:
            return False
        result = fetcher._records.get(tp)
        if result is not None and not self._pace.rests(tp, result):
            return False  # it came, and is not drained yet
        return self._expected.get(tp) == position

    async def start_inputs(self, starts: Mapping[TP, int]) -> None:
        """Put all inputs where they go on and release them."""
        await self.call_thread(self._start_inputs, dict(starts))

    async def _start_inputs(self, starts: dict[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in starts.items():
            consumer._fetcher.seek_to(tp, offset)
            state = _state(consumer, tp)
            if state is not None:
                state.lso = None  # what it was before the seek says nothing about the end
        self._expected = starts
        self._told_end.clear()
        self._release(self._held & frozenset(starts))

    async def reseek(self, tp: TP, offset: int) -> None:
        """Read a changelog partition again from an offset."""
        await self.call_thread(self._reseek, tp, offset)

    async def _reseek(self, tp: TP, offset: int) -> None:
        self._ensure_consumer()._fetcher.seek_to(tp, offset)

    # Asking

    async def seek_others(self, tps: Collection[TP]) -> dict[TP, int | None]:
        """Seek partitions to the group's offsets, as Faust does with all of them."""
        consumer = self._ensure_consumer()
        committed = await self.call_thread(consumer.seek_to_committed, *_aiokafka(consumer, tps))
        return dict(committed)

    async def committed(self, tps: Collection[TP]) -> dict[TP, int]:
        """Read the group's stable offsets; those that have none are left out."""
        consumer = self._ensure_consumer()
        offsets = await self.call_thread(
            consumer._coordinator.fetch_committed_offsets, _aiokafka(consumer, tps)
        )
        return {TP(*tp): found.offset for tp, found in offsets.items()}

    async def first_offsets(self, tps: Collection[TP]) -> dict[TP, int]:
        """Read where the log of partitions starts."""
        consumer = self._ensure_consumer()
        offsets = await self.call_thread(consumer.beginning_offsets, _aiokafka(consumer, tps))
        return {TP(*tp): offset for tp, offset in offsets.items()}

    async def _highwaters(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """Read the true ends, behind transactions that are still open.

        aiokafka would stop at the last stable offset, and with it a restore: before rows whose
        commit was answered, but whose markers are not written yet.
        """
        consumer = self._ensure_consumer()
        view = copy.copy(consumer._fetcher)
        view._isolation_level = READ_UNCOMMITTED
        timeout_ms = consumer._request_timeout_ms
        offsets = await view.end_offsets(_aiokafka(consumer, partitions), timeout_ms)
        return {TP(*tp): offset for tp, offset in offsets.items()}

    async def ends(self, tps: Collection[TP]) -> Mapping[TP, int]:
        """Read the true ends of partitions."""
        offsets: Mapping[TP, int] = await self.call_thread(self._highwaters, tps)
        return offsets

    def partitions_count(self, topic: str) -> int | None:
        """Count a topic's partitions, by the metadata that is here; any thread."""
        partitions = self._ensure_consumer().partitions_for_topic(topic)
        return len(partitions) if partitions else None

    async def refresh_metadata(self) -> None:
        """Ask the broker which topics there are."""
        await self.call_thread(self._ensure_consumer()._client.force_metadata_update)

    def rejoin(self) -> None:
        """Ask the group for another assignment; any thread."""
        coordinator = self._ensure_consumer()._coordinator
        self.thread_loop.call_soon_threadsafe(coordinator.request_rejoin)

    def lag(self, tp: TP) -> tuple[int, int] | None:
        """Give fetch position and last known end of a partition, None if unknown; any thread."""
        consumer = self._consumer
        state = None if consumer is None else _state(consumer, tp)
        if state is None or state._position is None or state.lso is None:
            return None
        return state._position, _end_offset(state)

    def is_held(self, tp: TP) -> bool:
        """Whether a partition is held; any thread."""
        return tp in self._held

    def membership(self) -> Membership:
        """Name this worker's place in the group, for the transaction; any thread.

        Raises CommitFencedError when it has none at the moment.
        """
        coordinator = self._ensure_consumer()._coordinator
        return Membership(
            self.app.conf.id,
            coordinator.generation,
            coordinator.member_id,
            self.app.conf.consumer_group_instance_id,
        ).checked()


@contextmanager
def _fetching(subscriptions: Any) -> Iterator[None]:
    """As aiokafka's fetch_context, and also when something is raised."""
    context = subscriptions.fetch_context()
    with context:
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:  # noqa: BLE001 raised again, once the count is right
            error = raised
    if error is not None:
        raise error


def _aiokafka(consumer: Any, tps: Iterable[TP]) -> list[Any]:
    """Find aiokafka's own objects for partitions (it checks their type)."""
    wanted = frozenset(tps)
    return [tp for tp in consumer.assignment() if tp in wanted]


def _state(consumer: Any, tp: TP) -> Any:
    """Find aiokafka's state of a partition; None if it is not assigned."""
    subscription = consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    return None if assignment is None else assignment.state_value(tp)


def _end_offset(state: Any) -> int:
    end = state.lso if state.lso is not None and state.lso >= 0 else state.highwater
    return -1 if end is None else int(end)


def _forget(fetcher: Any, tp: TP) -> None:
    """Let aiokafka fetch the next response of a partition."""
    del fetcher._records[tp]
    fetcher._notify(fetcher._wait_consume_future)


def _unblock(fetcher: Any, result: Any) -> None:
    """Let a response that stays lie without holding up fetches of other partitions."""
    if result._backoff:
        result._backoff = 0
        fetcher._notify(fetcher._wait_consume_future)
