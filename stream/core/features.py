"""The head features: what the model is told about a user beside the sequence, at scoring time.

Raw values in natural units; how they are scaled belongs to the bundle. One definition for serving,
training and evaluation. A count is of events; -1 stands for "never".
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.counters import read_counts
from stream.core.layout import EVENT_TYPES, NEVER_MS
from stream.core.state import State
from stream.core.window import ring_at, session_start

_WINDOWS: Final = ("1h", "24h", "7d")

# (name, unit, definition) in the order of the columns of Plan.head.
HEAD_FEATURES: Final = (
    *(
        (f"count_{kind}_{window}_sliding", "events", f"{kind} events of the last {window}")
        for kind in EVENT_TYPES
        for window in _WINDOWS
    ),
    *(
        (f"count_{kind}_{window}_tumbling", "events", f"{kind} events of the aligned {window}")
        for kind in EVENT_TYPES
        for window in _WINDOWS
    ),
    *(
        (f"since_{kind}", "ms", f"newest event time minus the newest {kind}; -1: never")
        for kind in EVENT_TYPES
    ),
    ("steps_count", "steps", "steps accepted for the user, ever"),
    ("session_position", "steps", "steps of the last session that the window holds (gap 30 min)"),
    ("session_duration", "ms", "newest step minus the first of the last session held"),
    ("hour_sin", "1", "sine of the hour of day of the newest event time, UTC"),
    ("hour_cos", "1", "cosine of the same"),
    ("weekday_sin", "1", "sine of the time in the week of the newest event time, Monday 0, UTC"),
    ("weekday_cos", "1", "cosine of the same"),
)
HEAD_COUNT: Final = len(HEAD_FEATURES)  # 28

_DAY_MS = 86_400_000
_WEEK_MS = 604_800_000
_MONDAY_MS = 345_600_000


@compiled
def head_features(
    state: State,
    slot: int,
    counts: npt.NDArray[np.int64],  # (18,) scratch
    out: npt.NDArray[np.float32],  # (F,) one row of Plan.head
) -> None:
    """Write one user's head features, as of its newest event time."""
    user = state.users[slot]
    now_ms = user.time_last_ms
    read_counts(user, now_ms, counts[:9], counts[9:])
    for index in range(18):
        out[index] = counts[index]
    for kind in range(3):
        last_ms = user.type_time_ms[kind]
        out[18 + kind] = -1.0 if last_ms == NEVER_MS else now_ms - last_ms
    out[21] = user.steps_count
    start = session_start(state, slot)
    size = state.ring.shape[1]
    head = np.int64(user.ring_head)
    length = np.int64(user.ring_len)
    out[22] = length - start
    first_ms = state.ring[slot, ring_at(head, start, size)].time_ms
    last_step_ms = state.ring[slot, ring_at(head, length - 1, size)].time_ms
    out[23] = last_step_ms - first_ms
    day = 2.0 * math.pi * (now_ms % _DAY_MS) / _DAY_MS
    week = 2.0 * math.pi * ((now_ms - _MONDAY_MS) % _WEEK_MS) / _WEEK_MS
    out[24] = math.sin(day)
    out[25] = math.cos(day)
    out[26] = math.sin(week)
    out[27] = math.cos(week)
