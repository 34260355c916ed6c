"""One worker process: what stream/app.py puts together, on the fake broker and a simulated runtime.

Real: Worker, Account, Models, Engines, Quarantine, Decoder, Effects, Follower. Each is told
its steps by the ports that it calls anyway; `point` is where they are told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stream.app import GroupTransaction
from stream.core.config import EngineConfig
from stream.core.layout import TOPICS
from stream.core.plan import Plan, Scores
from stream.flow.account import Account, Closing
from stream.flow.candidate import Serving
from stream.flow.crash_note import CrashNote
from stream.flow.effects import Effects, OutputTopics
from stream.flow.follow import Follower
from stream.flow.limits import FlowLimits
from stream.flow.models import Models
from stream.flow.quarantine import Quarantine
from stream.flow.restore import Engines
from stream.flow.runtime import Runtime
from stream.flow.stops import StuckError, WorkerStopError
from stream.flow.worker import Worker
from stream.wire.decode import Decoded, Decoder
from stream.wire.predictions import PredictionEncoder
from stream.wire.records import RecordColumns, columns_of
from stream.wire.topics import ALERTS, DEAD_LETTERS, ERASURES, PREDICTIONS, RECEIPTS, STATE
from stream.wire.types import ModelControl
from tests.oracle.int_scorer import ITEMS_COUNT, IntScorer
from tests.sim.broker import Broker
from tests.sim.clock import Tasks
from tests.sim.partition_log import Entry
from tests.sim.producer import FakeDirect, FakeProducer

if TYPE_CHECKING:
    from stream.shell.group import Membership

OUTPUTS = OutputTopics(PREDICTIONS, ALERTS, DEAD_LETTERS, RECEIPTS, STATE, ERASURES)
ITEM_JSON = [b"null", *(b'"i%d"' % i for i in range(ITEMS_COUNT))]
STEP_OF_TOPIC = dict.fromkeys((STATE, RECEIPTS, ERASURES), "produce")
STEP_OF_STAGE = {"order": "take", "state": "apply", "queue": "landed", "inference": "scored"}
Point = Callable[[str], None]


@dataclass(slots=True)
class Setup:
    """What all processes of a run have in common."""

    config: EngineConfig
    limits: FlowLimits
    partitions: int
    direct: bool  # guarantee at_least_once
    transaction_timeout_s: float
    commit_deadline_s: float
    session_timeout_s: float
    notes: dict[str, dict[int, CrashNote]] = field(default_factory=dict)  # disk, by instance


@dataclass(slots=True)
class SimChunk:
    """stream.flow.ports.Chunk over entries of the fake broker."""

    topic: str
    partition: int
    offset_first: int
    offset_next: int
    end_offset: int
    generation: int
    entries: list[Entry]
    received_ms: int
    bytes_count: int = field(init=False)

    def __post_init__(self) -> None:
        self.bytes_count = sum(len(entry.value or b"") for entry in self.entries)

    @property
    def plain_bytes_count(self) -> int:
        return self.bytes_count

    @property
    def records_count_max(self) -> int:
        return self.offset_next - self.offset_first

    @property
    def timestamp_ms_max(self) -> int:
        return max((entry.timestamp_ms for entry in self.entries), default=-1)

    @property
    def caught_up(self) -> bool:
        return self.offset_next >= self.end_offset

    def records(self) -> RecordColumns:
        return columns(self.entries)


def columns(entries: list[Entry]) -> RecordColumns:
    """Lay entries out for the decoder."""
    return columns_of(
        [entry.offset for entry in entries],
        [entry.timestamp_ms for entry in entries],
        [entry.key for entry in entries],
        [entry.value for entry in entries],
    )


class SimDecoder(Decoder):
    """The real one; says when it begins, on whichever thread."""

    def __init__(self, partitions: int, point: Point) -> None:
        super().__init__(partitions)
        self._point = point

    def decode(self, *args: Any) -> Decoded:
        self._point("decode")
        return super().decode(*args)


class SimScorer(IntScorer):
    """The integer scorer; says when it begins."""

    def __init__(self, point: Point) -> None:
        super().__init__(checks=False)  # the reference's are
        self._point = point

    def score(self, partition: int, plan: Plan) -> Scores:
        self._point("score")
        return super().score(partition, plan)


class SimEffects(Effects):
    """The real ones; say when a commit is encoded."""

    point: Point

    def closing(self, *args: Any) -> Closing:
        closing = super().closing(*args)
        self.point("encode")
        return closing


class SimObserver:
    """stream.flow.observe.Observer: the stages it hears of are steps."""

    def __init__(self, point: Point) -> None:
        self._point = point

    def stage(self, stage: str, seconds: float) -> None:
        step = STEP_OF_STAGE.get(stage)
        if step is not None:
            self._point(step)

    def commit(self, *_: Any) -> None:
        self._point("noted")

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _ignore


def _ignore(*_: Any, **__: Any) -> None:
    """Hear nothing."""


class SimNotes:
    """stream.flow.ports.CrashNotes on a disk that outlives the process."""

    def __init__(self, disk: dict[int, CrashNote]) -> None:
        self._disk = disk

    def read(self, partition: int) -> CrashNote | None:
        return self._disk.get(partition)

    def write(self, partition: int, note: CrashNote) -> None:
        self._disk[partition] = note


class Table:
    """What stream.shell.table.UserTable keeps: the next changelog offset by partition."""

    def __init__(self) -> None:
        self.offset_next: dict[int, int] = {}

    def advance(self, partition: int, offset_last: int) -> None:
        if self.offset_next.get(partition, -1) <= offset_last:
            self.offset_next[partition] = offset_last + 1


class Process:
    """Everything that is gone when it crashes."""

    def __init__(
        self, setup: Setup, broker: Broker, instance: str, version: str, point: Point
    ) -> None:
        self.table = Table()  # as ChunkApp.table
        self.membership: Callable[[], Membership]  # as ChunkApp.membership; set by the member
        self.on_stack: set[str] = set()  # its threads that are in the middle of something
        self.paused = False
        self.hangs = False  # the worker's thread, for ever
        self.held: set[tuple[str, int]] = set()
        self.failure: WorkerStopError | None = None
        self.holds = 0
        clock = broker.clock
        self.scorer_is_stuck = False
        self.sends_held = False
        self.decoding = Tasks()
        self.scoring = Tasks(waited_for=self._wait_for_scorer)
        self.committing = Tasks()
        self.threads = (
            ("decode", self.decoding),
            ("score", self.scoring),
            ("commit", self.committing),
        )
        runtime = Runtime(
            clock.monotonic, clock.now_ms, self.decoding, self.scoring, self.committing
        )
        observer: Any = SimObserver(point)

        def at(topic: str) -> None:
            point(STEP_OF_TOPIC.get(topic, topic if topic in PRODUCER_STEPS else "publish"))

        self.producer = FakeProducer(
            broker,
            f"sim-{instance}",
            at,
            transaction_timeout_s=setup.transaction_timeout_s,
            commit_deadline_s=setup.commit_deadline_s,
        )
        self.direct = FakeDirect(broker, at, setup.commit_deadline_s) if setup.direct else None
        self._point = point
        self._setup = setup
        self._clock = clock
        self.transaction_timeout_s = setup.transaction_timeout_s
        self.engines = Engines(setup.config, setup.partitions, setup.limits.batch_events_max)
        self.models = Models(self.serving(version), observer, setup.limits, runtime)
        self._follower = Follower(self.models, self.serving, observer, clock.monotonic)
        transaction: Any = self.producer
        app: Any = self
        self.worker = Worker(
            limits=setup.limits,
            inputs=list(TOPICS),
            engines=self.engines,
            models=self.models,
            decoder=SimDecoder(setup.partitions, point),
            account=Account(GroupTransaction(transaction, app), self.direct, STATE, runtime),
            fetching=self,
            quarantine=Quarantine(
                SimNotes(setup.notes.setdefault(instance, {})), 1000, clock=clock.monotonic
            ),
            observer=observer,
            runtime=runtime,
            fail=self.fail,
        )

    def serving(self, version: str) -> Serving:
        """Open a model; all versions have the same arithmetic."""
        setup = self._setup
        encoder = PredictionEncoder(list(TOPICS), ITEM_JSON, version, "cpu", ("P7D", "P7D"))
        effects = SimEffects(
            list(TOPICS), OUTPUTS, encoder, version, "P7D", setup.partitions, 1 << 20
        )
        effects.point = self._point
        return Serving(
            version, "cpu", setup.config.refresh_steps, ITEM_JSON, SimScorer(self._point), effects
        )

    # stream.flow.ports.Fetching

    def hold(self, topic: str, partition: int) -> None:
        self.held.add((topic, partition))
        self.holds += 1

    def release(self, topic: str, partition: int) -> None:
        self.held.discard((topic, partition))

    def rests(self, topic: str, partition: int, position: int, until_ms: int) -> bool:
        return False  # rows that went on without waiting are seen where a wait is over

    def fail(self, error: WorkerStopError) -> None:
        """Take note that it ends; the first cause counts."""
        self.failure = self.failure or error

    def busy(self, thread: str) -> "Busy":
        """Note, for the length of a with block, that a thread is in the middle of something."""
        return Busy(self.on_stack, thread)

    def hang(self) -> None:
        """Let the worker's thread hang until the watchdog sees it, if it does."""
        self.hangs = True
        self._clock.advance(self._setup.limits.batch_deadline_s + 0.1)
        why = self.worker.stuck()
        if why is not None:
            self.fail(StuckError(why))

    def follow(self, version: str) -> None:
        """Let the control record name a version."""
        self._follower.take(
            ModelControl(model="main", active=version, shadow=None, issued_by="sim", issued_at=0)
        )

    def _wait_for_scorer(self, limit_s: float | None) -> None:
        if self.scorer_is_stuck:
            self._clock.advance(limit_s or 0)
            raise TimeoutError

    def send(self) -> None:
        """Let librdkafka's threads send something."""
        self.producer.send()
        if self.direct is not None:
            self.direct.send()


class Busy:
    """A thread's place in `on_stack`; a generator would cost as much as what is done in it."""

    __slots__ = ("_on_stack", "_thread")

    def __init__(self, on_stack: set[str], thread: str) -> None:
        self._on_stack = on_stack
        self._thread = thread

    def __enter__(self) -> None:
        self._on_stack.add(self._thread)

    def __exit__(self, *_: object) -> None:
        self._on_stack.discard(self._thread)


PRODUCER_STEPS = frozenset({"flush", "offsets", "end", "confirm"})
Starts = Mapping[int, Mapping[str, int]]
