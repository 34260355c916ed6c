"""Apply rows to the state, one after the other, and write down what the model must be asked.

One compiled loop, 0.5 to 1 us a row. It stops early, before a row, where something must happen
first: rows applied so far must be scored and settled (BARRIER), a bucket must be swept (SWEEP), or
the plan is full (FULL). Going on from that row gives the same result as if it had never stopped.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.churn import close_alert
from stream.core.clocks import NOBODY, advance
from stream.core.compiled import compiled
from stream.core.counters import count_event
from stream.core.features import head_features
from stream.core.layout import NEVER_MS, Flag, Outcome, Reason, Record, Records, Resolve
from stream.core.planning import keep_hidden, plan_event
from stream.core.state import State, free_slot, link_newest, take_slot, unlink
from stream.core.window import digest, find_event, insert_step
from stream.core.work import ApplyRules, Work

ALL: Final = 0
BARRIER: Final = 1
SWEEP: Final = 2
FULL: Final = 3

CREATED: Final = 1
EVICTED: Final = 2
FORGOTTEN: Final = 3

_FORGET: Final = int(Flag.CONTROL_FORGET)
_PREDICTED: Final = int(Outcome.PREDICTED)
_DUPLICATE: Final = int(Outcome.DUPLICATE)
_DEAD: Final = int(Outcome.DEAD_LETTERED)
_CONTROL: Final = int(Outcome.CONTROL)
_FORGOTTEN: Final = int(Outcome.FORGOTTEN)
_TOO_LATE: Final = int(Reason.TOO_LATE)
_FROM_FUTURE: Final = int(Reason.FROM_FUTURE)
_BY_EVICTION: Final = int(Resolve.EXPIRED)
_BY_FORGETTING: Final = int(Resolve.FORGOTTEN)


@compiled
def drop_user(
    state: State, work: Work, slot: int, kind: int, user: int, reason: int, time_ms: int
) -> None:
    """Free a slot, write down who left, close an open alert. Not for a user with rows to score."""
    clock = state.clock[0]
    record = state.users[slot]
    op = work.ops[work.counts[3]]
    op.kind = kind
    op.slot = slot
    op.user = user
    op.time_ms = time_ms
    alert = work.alerts[work.counts[2]]
    silence_ms = clock.shop_ms - record.shop_last_ms
    if close_alert(record, alert, reason, clock.seq, clock.watermark_ms, silence_ms, -1, False):
        work.alert_slots[work.counts[2]] = work.counts[3]
        work.counts[2] += 1
    work.counts[3] += 1
    free_slot(state, slot)


@compiled
def refuse(
    rules: ApplyRules, state: State, event: Record, slot: int, forget_ms: int, out: Record
) -> bool:
    """Decide the outcomes that leave the state alone; True: the row is one of them."""
    if event.reason != 0:
        out.outcome = _DEAD
        out.reason = event.reason
        return True
    if event.time_ms - event.timestamp_ms > rules.future_ms_max:
        out.outcome = _DEAD
        out.reason = _FROM_FUTURE
        return True
    if event.flags & _FORGET:
        return False
    watermark_ms = state.clock[0].watermark_ms
    if event.time_ms <= forget_ms and watermark_ms < forget_ms + rules.forget_keep_ms:
        out.outcome = _FORGOTTEN
        return True
    if slot >= 0:
        at = find_event(state, slot, event.event_id)
        if at >= 0:
            out.outcome = _DUPLICATE
            out.source_first = state.ring[slot, at].source
            return True
        user = state.users[slot]
        full = user.ring_len == state.ring.shape[1]
        if full and event.time_ms < state.ring[slot, user.ring_head].time_ms:
            out.outcome = _DEAD
            out.reason = _TOO_LATE
            return True
    return False


@compiled
def apply_rows(
    rules: ApplyRules,
    state: State,
    events: Records,  # (n,) EVENT
    steps: Records,  # (m,) STEP
    slots: npt.NDArray[np.int32],  # (U,) slot of each of the batch's users, -1: none; changed
    locals_of: npt.NDArray[np.int32],  # (C,) -1; the inverse while this runs
    forget_ms: npt.NDArray[np.int64],  # (U,) time up to which the user is forgotten
    open_segment: npt.NDArray[np.int32],  # (U,) -1 on entry
    open_wave: npt.NDArray[np.int32],  # (U,)
    first: int,
    swept: bool,  # the sweep that row `first` waited for has been
    work: Work,
) -> int:
    """Apply rows from `first` on; returns why it stopped. work.counts[0] rows were taken."""
    clock = state.clock[0]
    seq_before = clock.seq
    count = work.counts
    count[:] = 0
    name_slots(locals_of, slots, known=True)
    stop = ALL
    for index in range(first, len(events)):
        event = events[index]
        user = event.user
        slot = slots[user] if user >= 0 else -1
        out = work.rows[count[0]]
        blank_row(out, event, clock.seq + 1)
        if refuse(rules, state, event, slot, forget_ms[user] if user >= 0 else NEVER_MS, out):
            clock.seq += 1
            count[0] += 1
            continue
        control = (event.flags & _FORGET) != 0
        if control and count[1] > 0:
            stop = BARRIER
            break
        if count[4] + 2 * rules.refresh_steps > len(work.steps):
            stop = FULL
            break
        full = not control and slot < 0 and clock.free_count == 0
        if full and state.users[clock.oldest].seq_last > seq_before:
            stop = BARRIER
            break
        epoch = clock.seq + 1
        if slot >= 0:
            epoch = state.users[slot].epoch
        elif control and not (swept and index == first):  # else its own sweep may have dropped it
            epoch = NOBODY
        if not advance(
            state, event.time_ms, epoch, rules.jump_ms_max, rules.gap_ms_max, rules.bucket_ms
        ):
            stop = SWEEP
            break
        clock.seq += 1
        count[0] += 1
        if control:
            forget(state, work, event, slot, slots, locals_of)
            out.outcome = _CONTROL
            stop = BARRIER  # the next row must see who is forgotten
            break
        if slot < 0:
            if full:
                evict_oldest(state, work, slots, locals_of)
            slot = create_user(state, work, user, slots, locals_of)
            open_segment[user] = -1
        take_event(rules, state, event, steps, slot, open_segment, open_wave, work, out)
    keep_hidden(state, slots, open_segment, work)
    name_slots(locals_of, slots, known=False)
    return stop


@compiled
def name_slots(locals_of: npt.NDArray[np.int32], slots: npt.NDArray[np.int32], known: bool) -> None:
    """Note who of the batch stands in which slot, or take all of that back."""
    for user in range(len(slots)):
        if slots[user] >= 0:
            locals_of[slots[user]] = user if known else -1


@compiled
def blank_row(out: Record, event: Record, seq: int) -> None:
    """Fill what is known of a row before it is applied."""
    out.partition_seq = seq
    out.offset = event.offset
    out.event_time_ms = event.time_ms
    out.as_of_ms = 0
    out.user_seq = 0
    out.user_epoch = 0
    out.window_digest = 0
    out.source_first = -1
    out.supersedes = -1
    out.revision = 0
    out.user = event.user
    out.scored = -1
    out.window_len = 0
    out.topic = event.topic
    out.outcome = _PREDICTED
    out.reason = 0
    out.late = 0
    out.churn_known = 0


@compiled
def forget(
    state: State,
    work: Work,
    event: Record,
    slot: int,
    slots: npt.NDArray[np.int32],
    locals_of: npt.NDArray[np.int32],
) -> None:
    """Erase a user; without one, only write down that the key is to be forgotten."""
    user = event.user
    if slot >= 0:
        drop_user(state, work, slot, FORGOTTEN, user, _BY_FORGETTING, event.time_ms)
        slots[user] = locals_of[slot] = -1
        return
    op = work.ops[work.counts[3]]
    op.kind = FORGOTTEN
    op.slot = -1
    op.user = user
    op.time_ms = event.time_ms
    work.counts[3] += 1


@compiled
def evict_oldest(
    state: State, work: Work, slots: npt.NDArray[np.int32], locals_of: npt.NDArray[np.int32]
) -> None:
    """Drop the least recently active user."""
    victim = state.clock[0].oldest
    other = locals_of[victim]
    if other >= 0:
        slots[other] = -1
        locals_of[victim] = -1
    drop_user(state, work, victim, EVICTED, other, _BY_EVICTION, NEVER_MS)


@compiled
def create_user(
    state: State,
    work: Work,
    user: int,
    slots: npt.NDArray[np.int32],
    locals_of: npt.NDArray[np.int32],
) -> int:
    """Take a slot for a user of the batch; its epoch is the present partition_seq."""
    slot = take_slot(state, state.clock[0].seq)
    slots[user] = slot
    locals_of[slot] = user
    op = work.ops[work.counts[3]]
    op.kind = CREATED
    op.slot = slot
    op.user = user
    op.time_ms = NEVER_MS
    work.counts[3] += 1
    return slot


@compiled
def take_event(
    rules: ApplyRules,
    state: State,
    event: Record,
    steps: Records,
    slot: int,
    open_segment: npt.NDArray[np.int32],
    open_wave: npt.NDArray[np.int32],
    work: Work,
    out: Record,
) -> None:
    """Put an event into its user's window and counters, plan its steps, and write its row."""
    clock = state.clock[0]
    user = state.users[slot]
    late = event.time_ms < user.time_last_ms
    newest = event.time_ms > user.time_last_ms
    steps_before = user.steps_count
    silence_before_ms = clock.shop_ms - user.shop_last_ms
    for index in range(event.step_first, event.step_first + event.steps_count):
        insert_step(state, slot, steps[index])
    user.steps_count += event.steps_count
    if late:
        user.revision += np.uint32(1)
        out.late = 1
        out.supersedes = user.source_last
    count_event(user, event.event_type, event.time_ms)
    user.type_time_ms[event.event_type] = max(user.type_time_ms[event.event_type], event.time_ms)
    if event.channel != 0:
        user.channel = event.channel
    if event.device != 0:
        user.device = event.device
    if event.region != 0:
        user.region = event.region
    if newest:
        user.time_last_ms = event.time_ms
        shop_ms = clock.shop_ms - max(0, clock.watermark_ms - event.time_ms)
        user.shop_last_ms = max(user.shop_last_ms, shop_ms)
    user.user_seq += 1
    user.seq_last = clock.seq
    user.source_last = event.offset * 4 + event.topic
    unlink(state, slot)
    link_newest(state, slot)
    state.dirty[slot] = 1
    plan_event(rules, state, event, slot, steps_before, late, open_segment, open_wave, work)
    write_row(rules, state, event, slot, newest, silence_before_ms, work, out)


@compiled
def write_row(
    rules: ApplyRules,
    state: State,
    event: Record,
    slot: int,
    newest: bool,
    silence_before_ms: int,
    work: Work,
    out: Record,
) -> None:
    """Write down what the model and settling must know of a row, as of now."""
    clock = state.clock[0]
    user = state.users[slot]
    scored = work.counts[1]
    out.as_of_ms = user.time_last_ms
    out.user_seq = user.user_seq
    out.user_epoch = user.epoch
    out.window_digest = digest(state, slot)
    out.revision = user.revision
    out.scored = scored
    out.window_len = user.ring_len
    out.churn_known = 1 if user.steps_count >= rules.events_min else 0
    record = work.scored[scored]
    record.slot = slot
    record.row = work.counts[0] - 1
    record.user = event.user
    record.event_type = event.event_type
    record.newest = 1 if newest else 0
    record.seq = clock.seq
    record.time_ms = event.time_ms
    record.as_of_ms = user.time_last_ms
    record.steps_count = user.steps_count
    record.silence_before_ms = silence_before_ms
    record.silence_ms = clock.shop_ms - user.shop_last_ms
    record.shop_ms = clock.shop_ms
    record.watermark_ms = clock.watermark_ms
    work.context[scored, 0] = user.channel
    work.context[scored, 1] = user.device
    work.context[scored, 2] = user.region
    head_features(state, slot, work.scratch, work.head[scored])
    if rules.exclude_recent:
        size = state.ring.shape[1]
        for index in range(size):
            work.recent[scored, index] = np.uint64(0)  # not "x if .. else 0": that is a float
            if index < user.ring_len:
                work.recent[scored, index] = state.ring[slot, index].item
    work.row_step[scored] = work.counts[4] - 1
    work.counts[1] += 1
