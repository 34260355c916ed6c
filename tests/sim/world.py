"""The schedule: who goes on next, drawn from the seed, one step at a time in one thread.

The threads of all processes interleave by nesting: at each point that one of them comes to, others
may run before it goes on. Nothing nests twice: a thread that is under way is waited for.
"""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stream.core.layout import TOPICS
from stream.flow.stops import WorkerStopError
from stream.wire.topics import STATE, TABLE
from tests.sim.broker import Broker
from tests.sim.clock import Crash, SimClock, Stuck, WouldBlock
from tests.sim.events import Sent
from tests.sim.faults import Plan
from tests.sim.member import RESTORING, WAITING, Member
from tests.sim.process import Process
from tests.sim.refusal import Refusal
from tests.sim.shape import Shape
from tests.sim.step_loop import StepLoop
from tests.sim.strikes import strike

if TYPE_CHECKING:
    from collections.abc import Callable

SENDER = 1_000_000  # producer of transactional senders
DRAIN_ROUNDS_MAX = 1000
ENDS_MAX = 10  # processes that end by themselves, without a fault
STEPS_MAX = 800  # under faults, once all is written
AWAITED = {"worker", "decode", "score"}  # threads that a round of the worker would wait for
Place = tuple[str, int]


class StuckRunError(AssertionError):
    """The run does not come to its end once the faults are over."""


@dataclass(slots=True)
class Ended:
    """What happened to processes."""

    codes: list[int] = field(default_factory=list)  # exit codes of those that ended by themselves
    causes: list[str] = field(default_factory=list)
    crashes: int = 0
    rebalances: int = 0


class World:
    """Everything of one run. `strikes` says what a fault does (tests/sim/strikes.py)."""

    def __init__(self, chance: random.Random, shape: Shape, plan: Plan, loop: StepLoop) -> None:
        self.chance = chance
        self.shape = shape
        self.plan = plan
        self.clock = SimClock()
        topics = dict.fromkeys((topic.name for topic in TABLE), shape.setup.partitions)
        self.broker = Broker(self.clock, topics, shape.setup.partitions)
        self.broker.holds_markers = self._holds_markers
        self.ended = Ended()
        self.members: dict[str, Member | None] = dict.fromkeys(shape.instances)
        self.zombies: list[Member] = []
        self.spoil: Callable[[Process], None] = lambda _: None  # a canary's door
        self.late_next = False  # the next transaction's markers
        self._by_process: dict[Process, Member] = {}
        self._loop = loop
        self._depth = 0
        self._calm = False
        self._unsent = [deque(events) for events in shape.events]
        self._left = self._total = sum(len(events) for events in shape.events)
        self._version = "m-1"
        self._steps_left = STEPS_MAX

    # -- the run

    def run(self) -> None:
        """Play everything, then let it come to rest. Raises StuckRunError."""
        while self._left or self._missing() or self._is_far_behind():
            for _ in range(10):
                self.step()
        self._drain()

    def _is_far_behind(self) -> bool:
        """Whether much is still to be done under faults. Not for ever: nothing may be able to."""
        open_ = sum(end - at for at, end in self._behind().values())
        self._steps_left -= 10
        return open_ > self._total // 8 and self._steps_left > 0

    def _missing(self) -> bool:
        """Whether the crash or the rebalance that every run has did not find its step."""
        missing = [
            kind
            for kind, count in (("crash", self.ended.crashes), ("rebalance", self.ended.rebalances))
            if not count
        ]
        for kind in missing:
            self.plan.strike_next("idle", kind)
        return bool(missing)

    def step(self) -> None:
        """Let one of all do one thing."""
        roll = self.chance.random()
        if roll < 0.08:
            self._write_some()
        elif roll < 0.2:
            self._broker_step()
        else:
            self._member_step()
        self.clock.advance(self.chance.random() * 0.03)

    def _member_step(self) -> None:
        instances = self.shape.instances
        pick = self.chance.randrange(len(instances) + len(self.zombies))
        if pick >= len(instances):
            self._act(self.zombies[pick - len(instances)])
            return
        member = self.members[instances[pick]]
        if member is not None:
            self._act(member)
        elif self.chance.random() < 0.2:
            self.start(instances[pick])

    # -- processes

    def start(self, instance: str) -> None:
        """Start a process in an instance's place."""
        process = Process(
            self.shape.setup, self.broker, instance, self._version,
            lambda step: self._point(process, step),
        )  # fmt: skip
        self.spoil(process)
        try:
            process.producer.start()
            self._point(process, "start")
        except Crash:
            self._note_crash()
            return
        if self._version != "m-1":
            process.follow(self._version)
        member = Member(
            process, self.broker, instance, lambda step: self._point(process, step), self._loop,
            standby=self.shape.standby,
        )  # fmt: skip
        self._by_process[process] = member
        self.members[instance] = member

    def _act(self, member: Member) -> None:
        """Let a member do something; see to its end."""
        process = member.process
        if process.paused or process.hangs:
            return
        try:
            self._do(member)
        except Crash:
            if process.on_stack:
                raise  # the frames below are the same process's
            self._bury(member)
            self._note_crash()
            return
        except (WouldBlock, Stuck, Refusal):
            pass  # it goes on later; the broker is away; the scorer hangs
        if process.failure is not None and not process.on_stack:
            self.ended.codes.append(process.failure.exit_code)
            self.ended.causes.append(str(process.failure))
            self._bury(member)

    def _do(self, member: Member) -> None:
        process = member.process
        if not process.on_stack:
            with process.busy("worker"):
                self._point(process, "idle")
            if (member.is_out or member.is_asked_back) and self.chance.random() < 0.3:
                with process.busy("worker"):
                    member.hand_over()
                return
            if member.state == WAITING:
                if not self.broker.group.preparing:
                    member.begin_restore()
                return
            if member.state == RESTORING:
                with process.busy("worker"):
                    self.broker.check_up()
                    member.restore_step(self.chance)
                return
        elif member.state in {WAITING, RESTORING}:
            return
        self._work(member, self.chance.random())

    def _work(self, member: Member, roll: float) -> None:
        process = member.process
        if roll < 0.35:
            if "loop" not in process.on_stack:
                with process.busy("loop"):
                    self.fetch(member)
        elif roll < 0.65:
            if not process.on_stack & AWAITED:
                with process.busy("worker"):
                    member.turn()
        elif roll < 0.9:
            name, tasks = self.chance.choice(process.threads)
            if tasks.queue and not tasks.running:
                with process.busy(name):
                    tasks.run_one()
        elif not process.sends_held:
            process.send()

    def fetch(self, member: Member) -> None:
        """Let a member fetch."""
        self.broker.check_up()
        again = "again" in self.plan.on and self.chance.random() < 0.08
        holds = member.process.holds
        member.fetch(self.chance, again=again)
        if again:
            self.plan.note("again", "fetch")
        if member.process.holds > holds:
            self.plan.note("full", "fetch")
        self._point(member.process, "fetch")

    def _bury(self, member: Member) -> None:
        del self._by_process[member.process]
        if member in self.zombies:
            self.zombies.remove(member)
        else:
            self.members[member.instance] = None

    def _note_crash(self) -> None:
        self.ended.crashes += 1

    # -- points

    def _point(self, process: Process, step: str) -> None:
        """A process has come to a step: a fault may strike, others may run."""
        if self._calm:
            return
        kind = self.plan.due(step)
        if kind is not None:
            member = self._by_process.get(process)
            if not strike(self, kind, step, process, member):
                self.plan.strike_next(step, kind)
        elif self._depth == 0 and self.chance.random() < self.shape.meanwhile:
            self.others(self.chance.randrange(1, 4))

    def others(self, steps: int) -> None:
        """Let others run in the middle of what is under way."""
        self._depth += 1
        try:
            for _ in range(steps):
                self.step()
        finally:
            self._depth -= 1

    @property
    def nested(self) -> bool:
        """Whether something is under way below what runs."""
        return self._depth > 0

    # -- the broker and the senders

    def _holds_markers(self) -> bool:
        if self._calm:
            return False
        late, self.late_next = self.late_next, False
        return late or self.chance.random() < self.shape.late_markers

    def _broker_step(self) -> None:
        broker, group = self.broker, self.broker.group
        pending = broker.pending()
        if pending:
            broker.deliver(*self.chance.choice(pending))
            return
        if group.preparing:
            waited_for = [
                self.members.get(place.instance)
                for place in group.members.values()
                if not place.joined
            ]
            if all(member is None or member.process.paused for member in waited_for):
                group.leave_out()
        elif self.chance.random() < 0.1:
            down = [name for name, member in self.members.items() if member is None]
            if down:
                group.leave(self.chance.choice(down))  # its session is over
        elif self.chance.random() < self.shape.compact:
            self._compact(self.chance.randrange(self.shape.setup.partitions))
        elif self.shape.standby:
            self._read_as_standby()
        broker.expire()

    def _compact(self, partition: int) -> None:
        log = self.broker.logs[STATE, partition]
        until = self.chance.randrange(log.end + 1)
        # Nobody is so far behind for as long as tombstones are kept (delete.retention.ms: a day).
        tables = [member.process.table.offset_next for member in self._by_process.values()]
        passed = all(table.get(partition, until) >= until for table in tables)
        log.compact(until, tombstones=passed and self.chance.random() < 0.3)

    def _read_as_standby(self) -> None:
        member = self.members[self.chance.choice(self.shape.instances)]
        if member is None or member.process.paused or member.process.on_stack:
            return
        partition = self.chance.randrange(self.shape.setup.partitions)
        if member.state != WAITING and not member.owns(partition):
            try:
                member.read_changelog(partition, self.chance.choice((2, 50)))
            except WorkerStopError as error:
                member.process.fail(error)  # it ends when it comes next

    def _write_some(self) -> None:
        number = self.chance.randrange(len(self._unsent))
        queue = self._unsent[number]
        count = min(len(queue), self.chance.choice((5, 15, 40, 60)))
        transactional = self.chance.random() < 0.2
        times = 1 + (self.chance.random() < self.shape.sender_aborts)
        part = [queue.popleft() for _ in range(count)]
        for turn in range(times):
            self._write(number, part, transactional or times > 1, commit=turn == times - 1)
        self._left -= count
        if self._version == "m-1" and self._left < self._total * (1 - self.shape.swap_at):
            self._version = "m-2"
            for member in self._by_process.values():
                member.process.follow("m-2")

    def _write(self, number: int, part: list[Sent], transactional: bool, *, commit: bool) -> None:
        producer = SENDER if transactional else -1
        topics = dict.fromkeys(sent.topic for sent in part)
        for sent in part:
            log = self.broker.logs[TOPICS[sent.topic], number]
            log.append(producer, sent.timestamp_ms, sent.key, sent.value, [])
        if transactional:
            for topic in topics:
                self.broker.logs[TOPICS[topic], number].mark(SENDER, commit=commit)

    # -- the end

    def _drain(self) -> None:
        """Without faults: all that was sent is to be committed."""
        self._calm = True
        for zombie in list(self.zombies):
            self._bury(zombie)
        self.clock.advance(self.shape.setup.transaction_timeout_s + 5)
        ended = len(self.ended.codes)
        for _ in range(DRAIN_ROUNDS_MAX):
            self.broker.expire()
            for known, place in self.broker.pending():
                self.broker.deliver(known, place)
            if self._done():
                return
            for instance in self.shape.instances:
                if self.members[instance] is None:
                    self.start(instance)
                else:
                    self._settle(self.members[instance])
            self.clock.advance(1.0)
            if len(self.ended.codes) > ended + ENDS_MAX:
                break
        raise StuckRunError(f"without faults it is not done in the end: {self._behind()}")

    def _settle(self, member: Member | None) -> None:
        if member is None:
            return
        if member.is_out or member.is_asked_back:
            member.hand_over()
        elif member.state == WAITING:
            if not self.broker.group.preparing:
                member.begin_restore()
        elif member.state == RESTORING:
            member.restore_step(self.chance)
        else:
            for place in member.places():
                member.fetch_from(place, 1000)
            member.turn()
            for _, tasks in member.process.threads:
                if tasks.queue:
                    tasks.run_one()
        if member.process.failure is not None:
            self.ended.codes.append(member.process.failure.exit_code)
            self.ended.causes.append(str(member.process.failure))
            self._bury(member)

    def _behind(self) -> dict[Place, tuple[int, int]]:
        committed = self.broker.group.committed
        inputs = [(topic, n) for topic in TOPICS for n in range(self.shape.setup.partitions)]
        ends = {place: self.broker.logs[place].end for place in inputs}
        return {
            p: (committed.get(p, 0), end) for p, end in ends.items() if committed.get(p, 0) != end
        }

    def _done(self) -> bool:
        return not self._behind() and not self.broker.pending()
