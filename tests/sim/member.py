"""A process as a member of the group: join, restore, fetch, hand over.

The thin stand-in for what lives with Faust and aiokafka; each step says which real function it
stands for. Where the input goes on is decided by the real `choose_starts`.
"""

import random
from collections.abc import Coroutine
from typing import Any

from faust.types import TP

from stream.core.layout import TOPICS
from stream.flow.stops import WorkerStopError
from stream.shell.group import Membership
from stream.shell.positions import Disagreement, InputOffsets, choose_starts
from stream.shell.recovery import GRACE_S, REREAD_S
from stream.wire.topics import STATE
from tests.sim.broker import Broker
from tests.sim.clock import Stuck
from tests.sim.process import Point, Process, SimChunk
from tests.sim.refusal import UNSTABLE, Refusal
from tests.sim.step_loop import StepLoop
from tests.sim.tenure import Tenure, watch

GROUP_NAME = "sim"
WAITING, RESTORING, RUNNING = "waiting", "restoring", "running"


class Member:
    """One worker process and its place in the group."""

    def __init__(
        self,
        process: Process,
        broker: Broker,
        instance: str,
        point: Point,
        loop: StepLoop,
        *,
        standby: bool,
    ) -> None:
        self.process = process
        self.instance = instance
        self.state = WAITING
        self._broker = broker
        self._group = broker.group
        self._point = point
        self._loop = loop
        self._standby = standby
        self.place = self._group.join(instance)
        self._generation = -1  # as this member knows it
        self._owned: list[int] = []
        self._ends: dict[int, int] = {}
        self._disagree_since_s: float | None = None
        self._looked_at_s = 0.0
        self._positions: dict[tuple[str, int], int] = {}
        self._told_end: set[tuple[str, int]] = set()
        self.tenures: dict[int, Tenure] = {}  # of its last assignment, by partition number
        process.membership = self.membership

    def membership(self) -> Membership:
        """As ChunkApp.membership."""
        return Membership(GROUP_NAME, self._generation, self.place.id, self.instance)

    # -- the group

    @property
    def is_out(self) -> bool:
        """Whether the group goes on without it."""
        known = self._group.members.get(self.instance)
        return known is None or known.id != self.place.id

    @property
    def is_asked_back(self) -> bool:
        """Whether a rebalance waits for it."""
        return self._group.preparing and not self.place.joined

    def hand_over(self) -> None:
        """Stand for ChunkConsumer.on_partitions_revoked, then for joining again."""
        was_out = self.is_out
        if was_out:
            self._generation = -1  # aiokafka's Coordinator.reset_generation
        if self.state == RUNNING:
            self._point("hand_over")
            self._drive(self.process.worker.on_revoked(frozenset(self._owned)))
            if self.process.failure is not None:
                return
        self.state = WAITING
        self._positions = {}
        self.process.held.clear()
        if was_out:
            self.place = self._group.join(self.instance)
        else:
            self._group.rejoin(self.place)

    # -- restore

    def begin_restore(self) -> None:
        """Stand for TableManager.on_rebalance and the start of a recovery."""
        self._generation = self._group.generation
        self._owned = list(self.place.partitions)
        table = self.process.table.offset_next
        if not self._standby:  # a standby keeps what it has read, and goes on reading
            for partition in [number for number in table if number not in self._owned]:
                del table[partition]
                self.process.engines.drop(partition)
        self._read_ends()
        self._disagree_since_s = None
        self.state = RESTORING

    def restore_step(self, chance: random.Random) -> None:
        """Read a chunk of the changelog, or take over once all is read."""
        try:
            self._restore_step(chance)
        except WorkerStopError as error:  # ChunkConsumer and ChunkRecovery tell app.fail
            self.process.fail(error)

    def _restore_step(self, chance: random.Random) -> None:
        behind = [
            p for p in self._owned if self.process.table.offset_next.get(p, 0) < self._ends[p]
        ]
        if behind:
            self.read_changelog(chance.choice(behind), chance.choice((3, 10, 1000)))
            self._point("restore")
            return
        starts = self._starts()
        if starts is None:
            return
        self._point("assign")
        by_partition: dict[int, dict[str, int]] = {number: {} for number in self._owned}
        for tp, offset in starts.items():
            by_partition[tp.partition][tp.topic] = offset
            self._positions[tp.topic, tp.partition] = offset
        self._told_end.clear()
        self._drive(self.process.worker.on_assigned(by_partition))
        self.tenures = {p.number: watch(p) for p in self.process.worker._partitions}
        self.state = RUNNING

    def read_changelog(self, partition: int, records_max: int) -> None:
        """Stand for UserTable.apply_chunk on what ChunkThread fetches."""
        log = self._broker.logs[STATE, partition]
        table = self.process.table.offset_next
        at = table.setdefault(partition, log.first)
        entries, offset_next = log.read(at, records_max)
        if entries:
            self.process.engines.restore(
                partition, [entry.key for entry in entries], [entry.value for entry in entries]
            )
        table[partition] = offset_next

    def _read_ends(self) -> None:
        """Stand for ChunkThread._highwaters: true ends, open transactions included."""
        self._ends = {p: self._broker.logs[STATE, p].end for p in self._owned}

    def _starts(self) -> dict[TP, int] | None:
        """Stand for ChunkRecovery._starts and _wait_out; None: not yet."""
        inputs = [TP(topic, number) for number in self._owned for topic in TOPICS]
        logs = self._broker.logs
        try:
            committed = self._group.stable([(tp.topic, tp.partition) for tp in inputs])
        except Refusal as refusal:
            if refusal.code != UNSTABLE:
                raise
            return None
        offsets = InputOffsets(
            committed={TP(*place): offset for place, offset in committed.items()},
            first={tp: logs[tp.topic, tp.partition].first for tp in inputs},
            end={tp: logs[tp.topic, tp.partition].end for tp in inputs},
        )
        headers = {number: self.process.engines.positions(number) for number in self._owned}
        try:
            return choose_starts(inputs, headers, offsets)
        except Disagreement as disagreement:
            self._wait_out(disagreement)
        return None

    def _wait_out(self, disagreement: Disagreement) -> None:
        now_s = self._broker.clock.now_s
        halted = now_s - self._looked_at_s > self.process.transaction_timeout_s
        self._looked_at_s = now_s
        if self._disagree_since_s is None or halted:
            self._disagree_since_s = now_s
        if now_s - self._disagree_since_s > self.process.transaction_timeout_s + GRACE_S:
            self.process.fail(disagreement.refusal(GROUP_NAME))
            return
        self._broker.clock.advance(REREAD_S)
        self._read_ends()

    # -- work

    def fetch(self, chance: random.Random, *, again: bool = False) -> None:
        """Stand for ChunkThread._drain: hand over chunks of inputs that are not held."""
        places = self.places()
        for place in chance.sample(places, chance.randrange(len(places) + 1)):
            back = chance.randrange(1, 10) if again else 0
            self.fetch_from(place, chance.choice((3, 30, 60)), back)

    def places(self) -> list[tuple[str, int]]:
        """Name the inputs that are fetched."""
        return [place for place in self._positions if place not in self.process.held]

    def owns(self, partition: int) -> bool:
        """Whether a partition is its own."""
        return partition in self._owned

    def fetch_from(self, place: tuple[str, int], records_max: int, back: int = 0) -> None:
        """Hand over a chunk; `back`: it begins so many offsets before the position."""
        log = self._broker.logs[place]
        at = self._positions[place]
        entries, offset_next = log.read(at, records_max)
        if offset_next == at and place in self._told_end:
            return
        first = max(log.first, at - back)
        if first < at:
            entries = [e for e in log.read(first, back)[0] if e.offset < at] + entries
        chunk = SimChunk(
            *place, first, offset_next, log.stable_end, self._generation, entries,
            self._broker.clock.now_ms(),
        )  # fmt: skip
        self._told_end.add(place)
        self._positions[place] = offset_next
        self.process.worker.on_chunk(chunk)
        topic = TOPICS.index(chunk.topic)
        self.tenures[chunk.partition].hand_over([(topic, entry.offset) for entry in entries])

    def turn(self) -> None:
        """Let the worker's thread go round once; the watchdog ends it where its scorer hangs."""
        try:
            self.process.worker.turn()
        except Stuck:
            self.process.hang()

    def _drive(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run what the event loop awaits, with the worker's thread answering."""
        task = self._loop.begin(coroutine)  # the request is there now
        try:
            self.turn()
        except BaseException:
            task.cancel()
            self._loop.run_ready()
            if not task.cancelled():
                task.exception()  # has been asked for: it is what is raised here
            raise
        if self.process.failure is not None:
            task.cancel()
        self._loop.run_ready()
        if not task.cancelled() and task.exception() is not None:
            self.process.failure = self.process.failure or task.exception()
