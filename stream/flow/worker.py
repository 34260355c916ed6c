"""The worker: chunks in, rows through the engines, outputs and state out, on a thread of its own.

    on_chunk ─▶ buffers ─▶ take (decode, merge) ─▶ apply ─▶ score ─▶ settle ─▶ publish ─▶ commit
    loop's thread          └────────── worker's thread ──┘  scorer's └── worker's ────┘   commit's

Up to two batches, of two partitions, are with the scorer while the next one is decoded and the one
before is encoded and sent; few rows of several partitions are scored in one call here. Each engine
changes in one order only: apply, settle, apply, settle. A commit begins when none is with the
scorer, so it holds a prefix of rows (stream/flow/account.py).
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

from stream.core.engine import Engine
from stream.core.results import Settled
from stream.flow.account import Account, Closing
from stream.flow.flights import Flight, Flights, Work
from stream.flow.gauges import Gauges
from stream.flow.limits import FlowLimits
from stream.flow.models import Models
from stream.flow.observe import Observer
from stream.flow.partition import Partition, open_partition
from stream.flow.ports import Chunk, Fetching
from stream.flow.pressure import Pressure
from stream.flow.quarantine import Quarantine
from stream.flow.restore import Engines
from stream.flow.runtime import Runtime, awaited
from stream.flow.stops import EngineError, WorkerStopError
from stream.flow.turns import Turns
from stream.wire.decode import Decoder

if TYPE_CHECKING:
    from stream.flow.buffer import TopicBuffer
    from stream.flow.effects import Latencies

log = logging.getLogger(__name__)
IDLE_WAIT_S = 0.002  # between two looks while a commit ends or rows wait for a topic far behind
LOOK_MS = 10  # between two looks, at most, while rows wait for a topic that is caught up


class Worker:
    """stream.flow.ports.Intake; `start` runs the thread, `fail` is told why it ended, if it did."""

    def __init__(
        self,
        limits: FlowLimits,
        inputs: list[str],
        engines: Engines,
        models: Models,
        decoder: Decoder,
        account: Account,
        fetching: Fetching,
        quarantine: Quarantine,
        observer: Observer,
        runtime: Runtime,
        fail: Callable[[WorkerStopError], None],
    ) -> None:
        self._limits = limits
        self._inputs = inputs
        self._engines = engines
        self._models = models
        self._decoder = decoder
        self._account = account
        self._quarantine = quarantine
        self._observer = observer
        self._gauges = Gauges(observer)
        self._runtime = runtime
        self._monotonic, self._now_ms = runtime.monotonic, runtime.now_ms
        self._rests = fetching.rests
        self._pressure = Pressure(fetching, limits.topic_bytes_max, observer, runtime.monotonic)
        self._turns = Turns(limits, self._pressure, self._gauges, observer, runtime)
        self._fail = fail
        self._partitions: list[Partition] = []
        self._buffers: dict[tuple[str, int], TopicBuffer] = {}
        self._flights = Flights()
        self._at_work: Sequence[Work] = ()  # whose fault an exception would be
        self._committed_at = 0.0
        self._latencies: list[Latencies] = []  # of rows settled since the last commit
        self._requests: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._revoked_at: float | None = None
        self.busy_since: float | None = None  # monotonic: when the present turn began

    # -- from other threads

    def start(self) -> None:
        """Run the thread."""
        self._thread.start()

    def stop(self, deadline_s: float) -> None:
        """End the thread after its present turn; what is not committed comes again."""
        self._stopped.set()
        self._wake.set()
        self._thread.join(deadline_s)
        self._runtime.stop()

    def on_chunk(self, chunk: Chunk) -> None:
        """Take a chunk; a topic with too many bytes waiting is held back."""
        place = (chunk.topic, chunk.partition)
        buffer = self._buffers.get(place)
        if buffer is None:
            log.info("chunk of %s[%d], which is not ours any more", *place)
            return
        try:
            buffer.append(chunk)
        except WorkerStopError as error:
            self._fail(error)
            return
        self._observer.chunk(
            buffer.topic, chunk.partition, chunk.records_count_max, chunk.bytes_count
        )
        self._pressure.check(buffer)
        self._wake.set()

    async def on_assigned(self, starts: Mapping[int, Mapping[str, int]]) -> None:
        """Take partitions over, at the given positions."""
        await self.ask(lambda: self._assign(starts))
        if self._revoked_at is not None:
            self._observer.rebalance(self._monotonic() - self._revoked_at)
            self._revoked_at = None

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        """Commit what is applied and let all partitions go."""
        log.info("handing over partitions %s", sorted(partitions))
        self._revoked_at = self._monotonic()
        await self.ask(self._hand_over)

    def stuck(self) -> str | None:
        """Say why the thread seems to stand still, for the watchdog."""
        seconds = self._monotonic() - (self.busy_since or self._monotonic())
        if seconds > self._limits.batch_deadline_s:
            return f"an engine step takes {seconds:.1f} s"
        if not self._thread.is_alive() and not self._stopped.is_set():
            return "the worker's thread has ended"
        return None

    def rows_waiting(self) -> int:
        """Count rows fetched and not settled, about."""
        return sum(buffer.rows_count for buffer in list(self._buffers.values()))

    def committed(self) -> dict[tuple[str, int], int]:
        """Give the committed position by topic and partition, of what this worker owns."""
        return {
            (buffer.name, partition.number): partition.committed_next[buffer.topic]
            for partition in list(self._partitions)
            for buffer in partition.buffers
        }

    def oldest_ms(self) -> dict[tuple[str, int], int]:
        """Give the record timestamp of the oldest row not yet applied, where one is here."""
        return {place: b.oldest_ms for place, b in list(self._buffers.items()) if b.oldest_ms}

    async def ask(self, request: Callable[[], None]) -> None:
        """Have something done on the worker's thread, between two turns, and wait for it."""
        done: Future[None] = Future()

        def run() -> None:
            try:
                request()
            except BaseException as error:
                done.set_exception(error)
                raise
            done.set_result(None)

        self._requests.append(run)
        self._wake.set()
        await asyncio.wrap_future(done)

    # -- the thread

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            if not self.turn():
                self._wake.wait(self._patience_s())

    def turn(self) -> bool:
        """Answer requests, then do a step of each stage; False: there was nothing to do."""
        try:
            while self._requests:
                self._requests.popleft()()
            return self._step()
        except WorkerStopError as error:
            cause = error
        except Exception as error:
            log.exception("the engine failed")
            for work in self._at_work:
                self._quarantine.failed(*work, error)
            cause = EngineError(f"{type(error).__name__}: {error}")
        self._stopped.set()
        self._fail(cause)
        return False

    def _patience_s(self) -> float:
        """How long to wait for news: briefly while rows wait, else until a commit may be due."""
        fronts = [b.front_received_ms for b in self._buffers.values() if b.rows_front]
        if self._account.committing or self._models.warming:
            return IDLE_WAIT_S
        if fronts:
            left_ms = min(fronts) + self._limits.merge_wait_ms - self._now_ms()
            in_time = 0 < left_ms <= self._limits.merge_wait_ms  # not with the clock set back
            return min(left_ms, LOOK_MS) / 1000 if in_time else IDLE_WAIT_S
        return max(IDLE_WAIT_S, min(0.1, self._limits.commit_interval_s / 4))

    def _step(self) -> bool:
        # A next transaction that is full waits for the one that is being committed.
        self._note_finished(wait=self._account.committing and self._is_full())
        self.busy_since = self._monotonic()
        changing = self._models.due()
        works = self._take()
        suspect = any(self._quarantine.suspects(*work) for work in works)
        alone = changing or suspect or self._is_commit_due()
        landed = self._land_for(works, everything=alone)
        if changing:  # between two batches: all of the last one is told by the model that scored it
            self._publish_all(landed)
            self._models.promote(self._engines_owned())
            landed = []
        closing = self._close_if_due()
        if works:
            self._launch(works)
        self._publish_all(landed)
        self._models.warm(self._engines_owned())
        if closing is not None:
            self._account.close(closing)
        self._publish_all(self._land_at_once())  # after the commit that is without it
        self.busy_since, self._at_work = None, ()
        return bool(works) or changing or bool(landed)

    def _take(self) -> list[Work]:
        """Take the next batch, or batches of few rows that can be scored in one call."""
        together = not self._flights and self._models.no_candidate and not self._quarantine.noted
        return self._turns.take(self._partitions, self._flights, together=together)

    def _engines_owned(self) -> list[Engine]:
        return [partition.engine for partition in self._partitions]

    def _alive(self) -> None:
        """Tell the watchdog that a long turn goes on."""
        self.busy_since = self._monotonic()

    def _is_full(self) -> bool:
        """Whether one batch more, beside those in flight, might be too much."""
        rows = sum(p.rows_open for p in self._partitions) + self._flights.rows_count
        limits = self._limits
        return (
            rows + limits.batch_events_max > limits.commit_events_max
            or self._account.bytes_count >= limits.commit_bytes_max
        )

    def _launch(self, works: Sequence[Work]) -> None:
        """Apply batches and have them scored, in one call if there are several."""
        for work in works:
            self._at_work = [work]
            self._quarantine.examine(*work, self._models, self._alive)
        began, applied = self._monotonic(), []
        for partition, taken in works:
            self._at_work = [Work(partition, taken)]
            applied.append((partition.number, partition.apply(taken, self._now_ms())))
        self._observer.stage("state", self._monotonic() - began)
        scores = self._models.score(applied, alone=not self._flights)
        for place, (work, (_, its)) in enumerate(zip(works, applied, strict=True)):
            self._flights.launch(Flight(*work, its, scores, place, works, scores.done()))

    def _land_for(self, works: Sequence[Work], *, everything: bool) -> list[tuple[Flight, Settled]]:
        """Settle what has to be before these can be applied: one at least if there are none."""
        landed: list[tuple[Flight, Settled]] = []
        while self._flights and (
            everything or (self._flights.in_the_way(works[0].partition) if works else not landed)
        ):
            landed.append(self._land())
        return landed

    def _land_at_once(self) -> Iterator[tuple[Flight, Settled]]:
        """Settle those that were scored when they were launched, one by one."""
        while self._flights.first_at_once:
            yield self._land()

    def _land(self) -> tuple[Flight, Settled]:
        """Wait for the scores of the first batch in flight and settle it."""
        flight = self._flights.land()
        self._at_work = flight.together
        self.busy_since = began = self._monotonic()  # each may take its time
        rows_count = len(flight.applied.scored)
        scores = awaited(flight.scores, self._limits.batch_deadline_s, f"scoring {rows_count} rows")
        self._observer.stage("queue", self._monotonic() - began)
        self._at_work = [Work(flight.partition, flight.taken)]
        settled = flight.partition.engine.settle(flight.applied, scores[flight.place])
        flight.partition.note_settled(flight.taken, settled, self._now_ms())
        receipt_ms = np.full(len(settled.rows), flight.taken.origin.received_ms, np.int64)
        self._latencies.append((receipt_ms, settled.rows["event_time_ms"].copy()))
        return flight, settled

    def _publish_all(self, landed: Iterable[tuple[Flight, Settled]]) -> None:
        """Send each as it comes, then tell of all: nobody waits for the metrics."""
        sent = []
        for flight, settled in landed:
            self._publish(flight, settled)
            sent.append((flight, settled))
        if sent:
            self._gauges.tell_settled(sent, self._models.serving.item_json, self._now_ms())

    def _publish(self, flight: Flight, settled: Settled) -> None:
        """Encode and send what settled rows say."""
        self._at_work = [Work(flight.partition, flight.taken)]
        self.busy_since = began = self._monotonic()
        effects, now_ms = self._models.serving.effects, self._now_ms()
        outputs = effects.of_rows(flight.partition, flight.taken, settled, now_ms)
        encoded = self._monotonic()
        for output in outputs:
            self._account.publish(output)
        self._observer.stage("encode", encoded - began)
        self._observer.stage("produce", self._monotonic() - encoded)

    # -- commits

    def _is_commit_due(self) -> bool:
        """Whether a commit is to begin, if there is anything to say."""
        if self._account.committing:
            return False
        due_at = self._committed_at + self._limits.commit_interval_s
        return self._monotonic() >= due_at or self._is_full()

    def _close_if_due(self) -> Closing | None:
        """Encode a commit's state, if one is due; only while nothing is with the scorer."""
        if self._flights or not self._is_commit_due():
            return None
        for partition in self._partitions:
            partition.pass_holes()
        return self._closing() if any(p.moved for p in self._partitions) else None

    def _closing(self) -> Closing:
        self._committed_at = self._monotonic()
        latencies, self._latencies = self._latencies, []
        return self._models.serving.effects.closing(self._partitions, latencies)

    def _note_finished(self, wait: bool) -> None:
        finished = self._account.finished(wait)
        if finished is None:
            return
        closing, seconds = finished
        now_ms = self._now_ms()
        for partition in self._partitions:
            if partition.number in closing.headers:
                header = closing.headers[partition.number][0]
                self._engines.note_commit(partition.number, header)
                partition.note_committed(header.offset_next)
                self._quarantine.passed(partition)
                self._gauges.tell(partition.engine)
        self._observer.stage("commit", seconds)
        self._observer.commit("committed", seconds, closing.receipt_ms, closing.event_ms, now_ms)
        self._observer.in_flight(self.rows_waiting())

    # -- partitions come and go

    def _assign(self, starts: Mapping[int, Mapping[str, int]]) -> None:
        partitions = []
        buffers = {}
        for number in sorted(starts):
            engine, header = self._engines.activate(number)
            if (restored := self._engines.restored(number)) is not None:
                self._observer.restored(number, *restored)
            self._quarantine.open(number)
            outcomes = {} if header is None else header.outcomes
            partition = open_partition(
                engine, outcomes, self._inputs, starts[number],
                self._decoder, self._runtime.decoding, self._limits, self._rests,
            )  # fmt: skip
            partitions.append(partition)
            self._models.open(engine)
            self._gauges.tell(engine)
            buffers.update({(buffer.name, number): buffer for buffer in partition.buffers})
        self._partitions = partitions
        self._buffers = buffers
        self._observer.partitions(tuple(sorted(starts)))
        log.info("took partitions %s", sorted(starts))

    def _hand_over(self) -> None:
        """Commit every row that is applied, then forget buffers and partitions."""
        self._note_finished(wait=True)
        self._publish_all(self._land_for((), everything=True))
        self.busy_since, self._at_work = None, ()  # a commit has a deadline of its own
        if any(partition.rows_open for partition in self._partitions):
            self._account.close(self._closing())
            self._note_finished(wait=True)
        self._pressure.end()
        for partition in self._partitions:
            self._models.close(partition.number)
            self._quarantine.close(partition.number)
        self._partitions, self._buffers = [], {}
        self._observer.partitions(())
