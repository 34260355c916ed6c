"""What the oracle is given, keeps and gives back, in plain Python."""

from dataclasses import dataclass, field
from typing import NamedTuple

from stream.core.layout import (
    ALWAYS_LATER_MS,
    NEVER_MS,
    AlertState,
    Level,
    Outcome,
    Reason,
    Resolve,
)


class Step(NamedTuple):
    """One step of a window, as STEP."""

    event_id: int
    item: int
    time_ms: int
    source: int
    price_cents: int = -1
    category: int = 0
    tokens: tuple[int, int, int, int] = (0, 0, 0, 0)
    quantity: int = 1
    event_type: int = 0
    action: int = 0


class Event(NamedTuple):
    """One decoded record, as EVENT with its steps and its key."""

    user: bytes | None
    topic: int
    offset: int
    time_ms: int
    timestamp_ms: int
    event_id: int = 0
    event_type: int = 0
    steps: tuple[Step, ...] = ()
    reason: int = 0
    flags: int = 0
    channel: int = 0
    device: int = 0
    region: int = 0

    @property
    def source(self) -> int:
        """Name the record as STEP.source does."""
        return self.offset * 4 + self.topic


class Answer(NamedTuple):
    """What a scorer says of one row."""

    next_event: tuple[float, float, float]
    purchase: float
    hazard: tuple[float, ...]
    items: tuple[int, ...]
    item_scores: tuple[float, ...]


@dataclass
class User:
    """One user, as USER, with its window as a list."""

    key: bytes
    epoch: int
    ring: list[Step] = field(default_factory=list)  # oldest first
    steps_count: int = 0
    user_seq: int = 0
    seq_last: int = 0
    time_last_ms: int = NEVER_MS
    shop_last_ms: int = 0
    type_time_ms: list[int] = field(default_factory=lambda: [NEVER_MS] * 3)
    source_last: int = -1
    # (event type, window) -> index of the sub-bucket -> events
    counts: dict[tuple[int, int], dict[int, int]] = field(default_factory=dict)
    revision: int = 0
    channel: int = 0
    device: int = 0
    region: int = 0
    answer: Answer | None = None
    churn: float | None = None
    next_check_ms: int = ALWAYS_LATER_MS
    silence_start_ms: int = 0
    fired_ms: int = 0
    fired_shop_ms: int = 0
    alert_sequence: int = 0
    alert_state: AlertState = AlertState.NORMAL
    alert_level: Level = Level.NONE
    alert_reason: Resolve = Resolve.NONE


@dataclass(frozen=True)
class Row:
    """What became of one event, as ROW, with what its score was computed from."""

    partition_seq: int
    topic: int
    offset: int
    event_time_ms: int
    user: bytes | None
    outcome: Outcome
    reason: Reason = Reason.NONE
    source_first: int = -1
    as_of_ms: int = 0
    user_seq: int = 0
    user_epoch: int = 0
    supersedes: int = -1
    revision: int = 0
    late: bool = False
    window: tuple[Step, ...] = ()  # held after the event, oldest first; () unless predicted
    scored_steps: tuple[tuple[Step, int], ...] = ()  # the last m of them, each with its gap
    head: dict[str, float] = field(default_factory=dict)
    context: tuple[int, int, int] = (0, 0, 0)
    recent: frozenset[int] = frozenset()
    answer: Answer | None = None
    churn: float | None = None  # None: insufficient history, or not predicted


@dataclass(frozen=True)
class Alert:
    """One published transition, as ALERT."""

    user: bytes
    partition_seq: int
    user_epoch: int
    at_ms: int
    silence_start_ms: int
    fired_ms: int
    silence_ms: int
    churn: float | None
    sequence: int
    state: AlertState
    previous_state: AlertState
    level: Level
    reason: Resolve
    by_sweep: bool


@dataclass(frozen=True)
class Dropped:
    """A user's state is gone: a tombstone."""

    user: bytes
    why: str  # "expired", "evicted" or "forgotten"


@dataclass(frozen=True)
class Swept:
    """The sweep of a bucket, with the users due in it, in order."""

    end_ms: int
    due: tuple[bytes, ...]


Effect = Row | Alert | Dropped | Swept
