"""Counters, recency and session of one user, counted from its own dicts and lists."""

import math
from collections.abc import Sequence

from stream.core.layout import (
    COUNTER_BUCKETS,
    COUNTER_BUCKETS_MS,
    COUNTER_WINDOWS_MS,
    EVENT_TYPES,
    NEVER_MS,
    SESSION_GAP_MS,
)
from tests.oracle.records import Step, User

WINDOWS = ("1h", "24h", "7d")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS  # 1970-01-05
CELL_MAX = 65_535


def count_event(user: User, event_type: int, time_ms: int) -> None:
    """Count an event in its sub-bucket of each window, where that is still held.

    `user.time_last_ms` must already include the event.
    """
    for window, (bucket_ms, buckets) in enumerate(
        zip(COUNTER_BUCKETS_MS, COUNTER_BUCKETS, strict=True)
    ):
        newest = user.time_last_ms // bucket_ms
        for kind in range(len(EVENT_TYPES)):
            cells = user.counts.setdefault((kind, window), {})
            for index in [index for index in cells if index <= newest - buckets]:
                del cells[index]
        index = time_ms // bucket_ms
        if index > newest - buckets:
            cells = user.counts[event_type, window]
            cells[index] = min(cells.get(index, 0) + 1, CELL_MAX)


def window_start(window: int, time_ms: int) -> int:
    """Return the start of the aligned window: the hour, the UTC day, the week from Monday."""
    size_ms = COUNTER_WINDOWS_MS[window]
    shift_ms = MONDAY_MS if size_ms == WEEK_MS else 0
    return (time_ms - shift_ms) // size_ms * size_ms + shift_ms


def sliding(user: User, event_type: int, window: int) -> int:
    """Count the events in all sub-buckets held."""
    return sum(user.counts[event_type, window].values())


def tumbling(user: User, event_type: int, window: int) -> int:
    """Count the events in the sub-buckets held that lie in the aligned window of as_of."""
    start_ms = window_start(window, user.time_last_ms)
    bucket_ms = COUNTER_BUCKETS_MS[window]
    cells = user.counts[event_type, window]
    return sum(count for index, count in cells.items() if index * bucket_ms >= start_ms)


def session(ring: Sequence[Step]) -> tuple[int, int]:
    """Return steps and ms of the last session held: a gap above 30 minutes starts another."""
    first = len(ring) - 1
    while first > 0 and ring[first].time_ms - ring[first - 1].time_ms <= SESSION_GAP_MS:
        first -= 1
    return len(ring) - first, ring[-1].time_ms - ring[first].time_ms


def head_of(user: User) -> dict[str, float]:
    """Return the head features by the names of stream.core.features.HEAD_FEATURES."""
    as_of = user.time_last_ms
    head: dict[str, float] = {}
    for kind, name in enumerate(EVENT_TYPES):
        for window, title in enumerate(WINDOWS):
            head[f"count_{name}_{title}_sliding"] = sliding(user, kind, window)
            head[f"count_{name}_{title}_tumbling"] = tumbling(user, kind, window)
        newest = user.type_time_ms[kind]
        head[f"since_{name}"] = -1 if newest == NEVER_MS else as_of - newest
    head["steps_count"] = user.steps_count
    head["session_position"], head["session_duration"] = session(user.ring)
    day = 2 * math.pi * (as_of % DAY_MS) / DAY_MS
    week = 2 * math.pi * ((as_of - MONDAY_MS) % WEEK_MS) / WEEK_MS
    head["hour_sin"], head["hour_cos"] = math.sin(day), math.cos(day)
    head["weekday_sin"], head["weekday_cos"] = math.sin(week), math.cos(week)
    return head
