"""Plan kept states anew, from the window alone: what a model needs that did not see the steps come.

The plans score no row; they make the (h, c) that carrying on would have made (docs/engine.md).
"""

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.features import HEAD_COUNT
from stream.core.layout import STEP, Records
from stream.core.plan import Plan
from stream.core.state import State
from stream.core.window import ring_at, scored_steps


def pool_rows(state: State, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Name those of the wanted pool rows (P,) that a user owns, most recently active first."""
    rows = np.flatnonzero((state.pool_owner >= 0) & wanted)
    order = np.argsort(state.users["seq_last"][state.pool_owner[rows]])[::-1]
    return rows[order].astype(np.int32)


def plan_rebuilds(state: State, rows: npt.NDArray[np.int32], refresh_steps: int) -> Plan:
    """Plan the (h, c) of the users who own these pool rows, from zero. Changes nothing."""
    steps_max = 2 * refresh_steps * len(rows)
    steps, gap_ms = np.empty(steps_max, STEP), np.empty(steps_max, np.int64)
    segment, wave = np.empty(steps_max, np.int32), np.empty(steps_max, np.int32)
    pool_out = np.empty(len(rows), np.int32)
    count, segments = _write_rebuilds(
        state, rows, refresh_steps, steps, gap_ms, segment, wave, pool_out
    )
    return Plan(
        steps=steps[:count],
        gap_ms=gap_ms[:count],
        segment=segment[:count],
        wave=wave[:count],
        pool_in=np.full(segments, -1, np.int32),
        pool_out=pool_out[:segments],
        row_step=np.zeros(0, np.int32),
        head=np.zeros((0, HEAD_COUNT), np.float32),
        context=np.zeros((0, 3), np.uint32),
        recent=np.zeros((0, 0), np.uint64),
        listed=np.zeros(0, bool),
    )


@compiled
def _write_rebuilds(
    state: State,
    rows: npt.NDArray[np.int32],  # of the pool; one that nobody owns is passed over
    refresh_steps: int,
    steps: Records,  # (2 L rows,) written, as all that follow
    gap_ms: npt.NDArray[np.int64],
    segment: npt.NDArray[np.int32],
    wave: npt.NDArray[np.int32],
    pool_out: npt.NDArray[np.int32],
) -> tuple[int, int]:
    """Write the steps from zero state to the owners' present (h, c); returns steps, segments."""
    at = 0
    segments = 0
    size = state.ring.shape[1]
    for index in range(len(rows)):
        row = rows[index]
        slot = state.pool_owner[row]
        if slot < 0:
            continue
        user = state.users[slot]
        length = np.int64(user.ring_len)
        head = np.int64(user.ring_head)
        first = max(np.int64(0), length - scored_steps(user.steps_count, refresh_steps))
        for position in range(first, length):
            step = state.ring[slot, ring_at(head, position, size)]
            steps[at] = step
            gap_ms[at] = -1
            if position > first:
                former = state.ring[slot, ring_at(head, position - 1, size)]
                gap_ms[at] = step.time_ms - former.time_ms
            segment[at] = segments
            wave[at] = position - first
            at += 1
        pool_out[segments] = row
        segments += 1
    return at, segments
