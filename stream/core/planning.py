"""Plan an event's steps: carry the kept (h, c) on, or rebuild it from the ring (docs/engine.md)."""

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import Record
from stream.core.state import State
from stream.core.window import ring_at, scored_steps
from stream.core.work import ApplyRules, Work


@compiled
def plan_event(
    rules: ApplyRules,
    state: State,
    event: Record,
    slot: int,
    steps_before: int,
    late: bool,
    open_segment: npt.NDArray[np.int32],
    open_wave: npt.NDArray[np.int32],
    work: Work,
) -> None:
    """Append the steps that lead to the event's score: its own, or all m from zero state."""
    user = state.users[slot]
    size = state.ring.shape[1]
    local = event.user
    scored = scored_steps(user.steps_count, rules.refresh_steps)
    before = scored_steps(steps_before, rules.refresh_steps)
    known = open_segment[local] >= 0 or state.hidden_row[slot] >= 0
    carried = known and not late and scored == before + event.steps_count
    length = np.int64(user.ring_len)
    head = np.int64(user.ring_head)
    taken = np.int64(event.steps_count) if carried else scored
    taken = min(taken, length)
    if not carried or open_segment[local] < 0:
        segment = work.counts[5]
        work.pool_in[segment] = state.hidden_row[slot] if carried else -1
        work.pool_out[segment] = -1
        work.counts[5] += 1
        open_segment[local] = segment
        open_wave[local] = 0
    start = length - taken
    for position in range(start, length):
        at = work.counts[4]
        step = state.ring[slot, ring_at(head, position, size)]
        work.steps[at] = step
        work.gap_ms[at] = -1
        if position > 0 and (carried or position > start):
            former = state.ring[slot, ring_at(head, position - 1, size)]
            work.gap_ms[at] = step.time_ms - former.time_ms
        work.segment[at] = open_segment[local]
        work.wave[at] = open_wave[local]
        open_wave[local] += 1
        work.counts[4] += 1


@compiled
def keep_hidden(
    state: State, slots: npt.NDArray[np.int32], open_segment: npt.NDArray[np.int32], work: Work
) -> None:
    """Give each user with a new (h, c) a row of the pool, taking rows in turn from their owners."""
    clock = state.clock[0]
    rows = len(state.pool_owner)
    for local in range(len(slots)):
        slot = slots[local]
        if slot < 0 or open_segment[local] < 0 or state.hidden_row[slot] >= 0:
            continue
        row = clock.pool_next
        clock.pool_next = (row + 1) % rows
        owner = state.pool_owner[row]
        if owner >= 0:
            state.hidden_row[owner] = -1
        state.pool_owner[row] = slot
        state.hidden_row[slot] = row
    for local in range(len(slots)):
        if slots[local] >= 0 and open_segment[local] >= 0:
            work.pool_out[open_segment[local]] = state.hidden_row[slots[local]]
