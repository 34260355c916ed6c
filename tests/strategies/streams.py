"""A stream of events told as moves: few users that collide, times around every limit.

A move is a small tuple, so that Hypothesis can shrink it and a seeded generator can draw it. The
builder turns moves into events and keeps the offsets, the newest time and what was sent before.
"""

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stream.core.config import DAY_MS, HOUR_MS, EngineConfig
from stream.core.layout import ACTIONS, NEVER_MS, Flag, Reason
from tests.oracle.records import Event, Step

START_MS = 1_699_999_860_000  # 140 s before an aligned sub-bucket of 10 min
MINUTE_MS = 60_000
_SCRAMBLE = 0x9E37_79B9_7F4A_7C15

CONFIGS = (
    EngineConfig(
        window_steps=4,
        refresh_steps=2,
        users_max=3,
        hidden_users_max=2,
        user_ttl_ms=12 * HOUR_MS,
        watermark_jump_ms_max=8 * DAY_MS,
        bucket_ms=10 * MINUTE_MS,
        forget_keep_ms=2 * DAY_MS,
        forgotten_max=2,
        churn_horizon_ms=2 * HOUR_MS,
        churn_events_min=2,
        hazard_edges_ms=tuple(k * 10 * MINUTE_MS for k in (1, 2, 4, 8, 16, 32, 64, 128)),
    ),
    EngineConfig(
        window_steps=8,
        refresh_steps=3,
        users_max=5,
        hidden_users_max=3,
        user_ttl_ms=30 * HOUR_MS,
        watermark_jump_ms_max=5 * HOUR_MS,
        source_gap_ms_max=90 * MINUTE_MS,
        bucket_ms=25 * MINUTE_MS,
        forget_keep_ms=6 * HOUR_MS,
        forgotten_max=3,
        churn_enter=0.6,
        churn_leave=0.6,
        churn_horizon_ms=5 * HOUR_MS,
        churn_events_min=1,
        exclude_recent=False,
        hazard_edges_ms=tuple(k * 20 * MINUTE_MS + 1 for k in (1, 2, 4, 8, 16, 32, 64, 128)),
    ),
    EngineConfig(
        window_steps=8,
        refresh_steps=4,
        users_max=4,
        hidden_users_max=64,
        user_ttl_ms=DAY_MS,
        watermark_jump_ms_max=2 * DAY_MS,
        bucket_ms=HOUR_MS,
        churn_horizon_ms=6 * HOUR_MS,
        churn_events_min=4,
    ),
)


class Move(NamedTuple):
    """One record to come; what each field means depends on `kind`."""

    kind: str
    user: int
    delta: int  # index into the deltas of the configuration
    back: int  # how far back a repeat reaches, or which reason a bad record has
    event_type: int
    steps: int  # of a purchase
    context: int  # 0: nothing given


KINDS = (
    *("next",) * 12,
    *("same",) * 3,
    *("late",) * 6,
    *("repeat",) * 4,
    "repeat_moved",
    "leap",
    *("ahead",) * 3,
    "future",
    "forget",
    "forget_late",
    "bad",
)
SHORT_DELTAS_MS = (0, 1, MINUTE_MS, 3 * MINUTE_MS, 11 * MINUTE_MS, 31 * MINUTE_MS)
DELTAS_COUNT = 32


def deltas_of(config: EngineConfig) -> tuple[int, ...]:
    """List time steps: short ones, and one below, at and above each limit."""
    limits = (
        config.bucket_ms,
        config.source_gap_ms_max,
        30 * MINUTE_MS,
        HOUR_MS,
        4 * HOUR_MS,
        DAY_MS,
        7 * DAY_MS,
        config.watermark_jump_ms_max,
    )
    around = [limit + shift for limit in limits for shift in (-1, 0, 1)]
    deltas = (*SHORT_DELTAS_MS, *around)
    return (*deltas, *SHORT_DELTAS_MS)[:DELTAS_COUNT]


class StreamBuilder:
    """Turns moves into events in the order in which the engine is to apply them."""

    def __init__(self, config: EngineConfig, users: Sequence[bytes]) -> None:
        self.config = config
        self.users = users
        self.deltas_ms = deltas_of(config)
        self.now_ms = START_MS
        self.offsets = [0, 100, 7_000]
        self.sent: list[Event] = []
        self._good: list[Event] = []  # those that can be sent again

    def add(self, move: Move) -> Event:
        """Append the event of a move."""
        event = self._event(move)
        self.sent.append(event)
        if event.steps:
            self._good.append(event)
        return event

    def _event(self, move: Move) -> Event:
        delta_ms = self.deltas_ms[move.delta]
        if move.kind in {"repeat", "repeat_moved"} and self._good:
            first = self._good[-1 - move.back % len(self._good)]
            return self._repeat(first, delta_ms if move.kind == "repeat_moved" else 0)
        if move.kind in {"forget", "forget_late"}:
            time_ms = self.now_ms - (delta_ms if move.kind == "forget_late" else 0)
            return self._control(move, time_ms)
        if move.kind == "bad":
            return self._bad(move)
        if move.kind == "late":
            return self._fresh(move, self.now_ms - delta_ms)
        if move.kind == "ahead":  # beyond the limit, now_ms stays: witnesses gather
            ahead_ms = self.config.watermark_jump_ms_max + SHORT_DELTAS_MS[move.delta % 6]
            return self._fresh(move, self.now_ms + ahead_ms)
        if move.kind == "leap":  # the stream goes on there
            self.now_ms += self.config.watermark_jump_ms_max + SHORT_DELTAS_MS[move.delta % 6]
        elif move.kind == "next":
            self.now_ms += delta_ms
        event = self._fresh(move, self.now_ms)
        if move.kind == "future":
            early_ms = self.config.future_ms_max + move.back % 3 - 1
            event = event._replace(timestamp_ms=event.time_ms - early_ms)
        return event

    def _fresh(self, move: Move, time_ms: int) -> Event:
        topic = move.event_type
        offset = self._offset(topic)
        event_id = (len(self.sent) + 1) * _SCRAMBLE % 2**64
        count = move.steps if move.event_type == 2 else 1
        source = offset * 4 + topic
        steps = tuple(
            _step(event_id, time_ms, source, move, index=index) for index in range(max(1, count))
        )
        return Event(
            user=self.users[move.user % len(self.users)],
            topic=topic,
            offset=offset,
            time_ms=time_ms,
            timestamp_ms=time_ms + 250,
            event_id=event_id,
            event_type=move.event_type,
            steps=steps,
            channel=move.context % 3,
            device=move.context // 3 % 3,
            region=move.context // 9 % 2 * (2**32 - 1),
        )

    def _repeat(self, first: Event, moved_ms: int) -> Event:
        offset = self._offset(first.topic)
        time_ms = first.time_ms + moved_ms
        source = offset * 4 + first.topic
        steps = tuple(step._replace(time_ms=time_ms, source=source) for step in first.steps)
        return first._replace(
            offset=offset, time_ms=time_ms, steps=steps, timestamp_ms=time_ms + 250
        )

    def _control(self, move: Move, time_ms: int) -> Event:
        return Event(
            user=self.users[move.user % len(self.users)],
            topic=move.event_type,
            offset=self._offset(move.event_type),
            time_ms=time_ms,
            timestamp_ms=time_ms,
            event_id=len(self.sent) + 1,
            flags=Flag.CONTROL_FORGET,
        )

    def _bad(self, move: Move) -> Event:
        reasons = [reason for reason in Reason if reason]
        known = move.user % 2 == 0
        return Event(
            user=self.users[move.user % len(self.users)] if known else None,
            topic=move.event_type,
            offset=self._offset(move.event_type),
            time_ms=NEVER_MS,
            timestamp_ms=self.now_ms,
            reason=reasons[move.back % len(reasons)],
        )

    def _offset(self, topic: int) -> int:
        self.offsets[topic] += 1
        return self.offsets[topic]


def _step(event_id: int, time_ms: int, source: int, move: Move, *, index: int) -> Step:
    item = (move.back + index) % 7
    return Step(
        event_id=event_id,
        item=0 if move.event_type == 1 else item * _SCRAMBLE % 2**64,
        time_ms=time_ms,
        source=source,
        price_cents=item * 199 - 1,
        category=item % 3 * 0x5555_5555,
        tokens=(move.back, move.delta, 0, 0) if move.event_type == 1 else (0, 0, 0, 0),
        quantity=1 + index % 3,
        event_type=move.event_type,
        action=ACTIONS.index(("click", "search", "purchase")[move.event_type]),
    )


def stream_of(
    config: EngineConfig, moves: Iterable[Move], users: Sequence[bytes] = ()
) -> list[Event]:
    """Build the events of moves, over two users more than the engine holds."""
    names = users or [b"user-%d" % index for index in range(config.users_max + 2)]
    builder = StreamBuilder(config, names)
    for move in moves:
        builder.add(move)
    return builder.sent


def seeded_moves(seed: int, count: int, kinds: Sequence[str] = KINDS) -> list[Move]:
    """Draw moves from a printed seed: long streams, which Hypothesis would be slow to draw."""
    chance = random.Random(seed)
    moves: list[Move] = []
    for _ in range(count):
        short = chance.random() < 0.7
        moves.append(
            Move(
                kind=chance.choice(kinds),
                user=int(chance.paretovariate(1.2)) - 1,
                delta=chance.randrange(6) if short else chance.randrange(DELTAS_COUNT),
                back=chance.randrange(24),
                event_type=chance.choice((0, 0, 0, 1, 2)),
                steps=chance.choice((1, 1, 2, 3, 9, 64)),
                context=chance.randrange(18),
            )
        )
    return moves
