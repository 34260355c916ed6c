"""Counters per event type over 1 h, 24 h and 7 d, sliding and tumbling, from the same cells.

A window is a ring of sub-buckets (six of 10 min, six of 4 h, seven of 1 d); a cell counts events
of one type whose time falls into the sub-bucket. Held are the sub-buckets newer than the
user's newest minus the ring's length. Sliding = all held; a sliding hour covers 50 to 60
minutes. Tumbling = the held ones within the aligned window (hour, UTC day, week from Monday) of
the newest time.
"""

import numpy as np

from stream.core.compiled import compiled
from stream.core.layout import (
    COUNTER_BUCKETS,
    COUNTER_BUCKETS_MS,
    COUNTER_WINDOWS_MS,
    Record,
    Records,
)

_CELLS_PER_TYPE = sum(COUNTER_BUCKETS)
_FIRST = (0, COUNTER_BUCKETS[0], COUNTER_BUCKETS[0] + COUNTER_BUCKETS[1])
_WEEK_SHIFT_MS = 345_600_000  # 1970-01-05, a Monday
_CELL_MAX = 65_535


@compiled
def count_event(user: Record, event_type: int, time_ms: int) -> None:
    """Count one event in its sub-bucket of each window, if that is still held. Cells saturate."""
    for window in range(3):
        buckets = COUNTER_BUCKETS[window]
        bucket = time_ms // COUNTER_BUCKETS_MS[window]
        newest = np.int64(user.counter_bucket[window])
        first = _FIRST[window]
        if bucket > newest:
            for index in range(buckets):
                if bucket - index <= newest:
                    break
                cell = first + (bucket - index) % buckets
                for kind in range(3):
                    user.counters[kind * _CELLS_PER_TYPE + cell] = 0
            user.counter_bucket[window] = bucket
        elif bucket <= newest - buckets:
            continue
        cell = event_type * _CELLS_PER_TYPE + first + bucket % buckets
        if user.counters[cell] < _CELL_MAX:
            user.counters[cell] += np.uint16(1)


@compiled
def read_counts(user: Record, time_ms: int, sliding: Records, tumbling: Records) -> None:
    """Write (9,) counts, type-major then window, as of the user's newest time."""
    for window in range(3):
        buckets = COUNTER_BUCKETS[window]
        size_ms = COUNTER_BUCKETS_MS[window]
        length_ms = COUNTER_WINDOWS_MS[window]
        newest = np.int64(user.counter_bucket[window])
        shift = _WEEK_SHIFT_MS if window == 2 else 0
        start_ms = ((time_ms - shift) // length_ms) * length_ms + shift
        start = start_ms // size_ms
        for kind in range(3):
            sliding[kind * 3 + window] = 0
            tumbling[kind * 3 + window] = 0
        at = newest % buckets
        for index in range(buckets):
            aligned = newest - index >= start
            for kind in range(3):
                count = user.counters[kind * _CELLS_PER_TYPE + _FIRST[window] + at]
                sliding[kind * 3 + window] += count
                if aligned:
                    tumbling[kind * 3 + window] += count
            at = at - 1 if at > 0 else np.int64(buckets - 1)  # a division here would be 57 a row
