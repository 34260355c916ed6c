"""One fake per protocol of stream/flow/ports.py: a log, chunks of it, and a transaction."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream.core.config import EngineConfig
from stream.core.layout import TOPICS
from stream.core.plan import Scorer
from stream.flow.account import Account
from stream.flow.candidate import Serving
from stream.flow.crash_note import CrashNote
from stream.flow.effects import Effects, OutputTopics
from stream.flow.limits import FlowLimits
from stream.flow.models import Models
from stream.flow.quarantine import Quarantine
from stream.flow.restore import Engines
from stream.flow.runtime import threads
from stream.flow.stops import WorkerStopError
from stream.flow.worker import Worker
from stream.shell.metrics import Metrics
from stream.wire.decode import Decoder
from stream.wire.predictions import PredictionEncoder
from stream.wire.records import RecordColumns, columns_of

TOPIC_NAMES = OutputTopics(
    "predictions", "churn-alerts", "dead-letters", "receipts", "state", "erasure-receipts"
)
Record = tuple[bytes | None, bytes]
Headers = Sequence[Sequence[tuple[str, bytes]] | None]


WRITTEN_MS = 2_000_000_000_000  # record time of a fake chunk: later than any event


@dataclass(slots=True)
class FakeChunk:
    """stream.flow.ports.Chunk over a list."""

    topic: str
    partition: int
    offset_first: int
    records_list: list[Record]
    end_offset: int
    received_ms: int = 0
    generation: int = 1
    timestamp_ms: int = WRITTEN_MS

    @property
    def offset_next(self) -> int:
        return self.offset_first + len(self.records_list)

    @property
    def bytes_count(self) -> int:
        return sum(len(value) for _, value in self.records_list)

    plain_bytes_count = bytes_count

    @property
    def records_count_max(self) -> int:
        return len(self.records_list)

    @property
    def timestamp_ms_max(self) -> int:
        return self.timestamp_ms

    @property
    def caught_up(self) -> bool:
        return self.offset_next >= self.end_offset

    def records(self) -> RecordColumns:
        count = len(self.records_list)
        return columns_of(
            list(range(self.offset_first, self.offset_next)),
            [self.timestamp_ms] * count,
            [key for key, _ in self.records_list],
            [value for _, value in self.records_list],
        )


class FakeTransaction:
    """stream.flow.ports.Transaction: what is committed is visible, the rest is not."""

    def __init__(self) -> None:
        self.open: list[tuple[str, int, bytes | None, bytes | None]] = []
        self.committed: list[tuple[str, int, bytes | None, bytes | None]] = []
        self.offsets: dict[tuple[str, int], int] = {}
        self.commits = 0
        self.begun = False
        self.before_commit: Callable[[], None] = lambda: None

    def begin(self) -> None:
        assert not self.begun
        self.begun = True

    def produce(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Headers | None = None,
    ) -> None:
        assert self.begun
        self.open += [(topic, partition, k, v) for k, v in zip(keys, values, strict=True)]

    def produce_header(self, topic: str, partition: int, key: bytes, value: bytes) -> None:
        self.produce(topic, partition, [key], [value])

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        self.before_commit()
        self.committed += self.open
        self.open = []
        self.offsets.update(offsets)
        self.commits += 1
        self.begun = False

    def values(self, topic: str) -> list[bytes | None]:
        return [value for name, _, _, value in self.committed if name == topic]


@dataclass(slots=True)
class FakeFetching:
    """stream.flow.ports.Fetching: remembers what is held."""

    held: set[tuple[str, int]] = field(default_factory=set)
    holds: int = 0
    resting: set[tuple[str, int, int]] = field(default_factory=set)  # with the position
    until_ms: int = 1 << 62

    def hold(self, topic: str, partition: int) -> None:
        self.held.add((topic, partition))
        self.holds += 1

    def release(self, topic: str, partition: int) -> None:
        self.held.discard((topic, partition))

    def rests(self, topic: str, partition: int, position: int, until_ms: int) -> bool:
        return (topic, partition, position) in self.resting and until_ms <= self.until_ms


@dataclass(slots=True)
class FakeNotes:
    """stream.flow.ports.CrashNotes in memory."""

    notes: dict[int, CrashNote] = field(default_factory=dict)

    def read(self, partition: int) -> CrashNote | None:
        return self.notes.get(partition)

    def write(self, partition: int, note: CrashNote) -> None:
        self.notes[partition] = note


@dataclass(slots=True)
class Rig:
    """A worker with everything around it."""

    worker: Worker
    models: Models
    metrics: Metrics
    engines: Engines
    transaction: FakeTransaction
    fetching: FakeFetching
    failures: list[WorkerStopError]


def limits(**changed: Any) -> FlowLimits:
    return FlowLimits(**{
        "batch_events_max": 64, "at_once_rows_max": 16, "topic_bytes_max": 1 << 20,
        "merge_wait_ms": 5, "merge_hold_ms": 10_000, "future_ms_max": 300_000,
        "commit_interval_s": 0.05, "commit_events_max": 1000,
        "commit_bytes_max": 1 << 20, "batch_deadline_s": 20.0,
        "dead_letters_per_minute_max": 10_000, "catch_up_ms": 0,
        "hidden_users_max": 32, "model_warm_ms": 10.0,
        "model_warm_share": 0.9, "model_warm_s_max": 60.0, "model_shadow_share": 1.0, **changed,
    })  # fmt: skip


def serving(scorer: Scorer, version: str = "m-1", refresh_steps: int = 16) -> Serving:
    """Open a model: 2,000 items, named alike in all."""
    items = [b"null", *(b'"i%d"' % i for i in range(2000))]
    encoder = PredictionEncoder(list(TOPICS), items, version, "cpu", ("P7D", "P7D"))
    effects = Effects(list(TOPICS), TOPIC_NAMES, encoder, version, "P7D", 1, 1 << 20)
    return Serving(version, "cpu", refresh_steps, items, scorer, effects)


def make_rig(
    scorer: Scorer,
    engines: Engines | None = None,
    transaction: FakeTransaction | None = None,
    config: EngineConfig | None = None,
    notes: FakeNotes | None = None,
    partitions: int = 1,
    **changed: Any,
) -> Rig:
    """Build a worker over fakes; `engines` of a former one keep their state."""
    bounds = limits(**changed)
    config = config or EngineConfig(hidden_users_max=32, exclude_recent=False)
    engines = engines or Engines(config, partitions, bounds.batch_events_max)
    transaction = transaction or FakeTransaction()
    fetching = FakeFetching()
    failures: list[WorkerStopError] = []
    metrics = Metrics(1)
    runtime = threads()
    models = Models(serving(scorer, refresh_steps=config.refresh_steps), metrics, bounds, runtime)
    worker = Worker(
        bounds,
        list(TOPICS),
        engines,
        models,
        Decoder(partitions),
        Account(transaction, None, "state", runtime),
        fetching,
        Quarantine(notes or FakeNotes(), rows_per_hour_max=3, clock=time.time),
        metrics,
        runtime,
        failures.append,
    )
    return Rig(worker, models, metrics, engines, transaction, fetching, failures)
