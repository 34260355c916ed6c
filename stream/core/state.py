"""The users of one partition as arrays, and the door through which a slot is taken or freed.

A slot is an index into `users` and `ring`. Slots in use form a list from the most to the least
recently active one (by `seq_last`); the others lie on the stack `free`. Compiled functions change
these arrays; who stands in which slot is kept by the engine beside them.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import ALWAYS_LATER_MS, NEVER_MS, STEP, USER, Records

WITNESSES: Final = 3  # users that must confirm a jump of the watermark
NO_BUCKET: Final = 2**62

CLOCK: Final = np.dtype(
    [
        ("seq", "<i8"),  # partition_seq of the last row taken
        ("watermark_ms", "<i8"),  # NEVER_MS before the first event
        ("shop_ms", "<i8"),
        ("bucket", "<i8"),  # index of the bucket that is open: its end is (bucket + 1) * bucket_ms
        ("shop_target_ms", "<i8"),  # of the row that waits for a sweep
        ("witness_epoch", "<i8", (WITNESSES,)),
        ("witness_ms", "<i8", (WITNESSES,)),
        ("witness_count", "<i8"),
        ("jumps_held", "<i8"),  # events that did not move the watermark, ever
        ("users_count", "<i4"),
        ("free_count", "<i4"),
        ("newest", "<i4"),  # slot of the most recently active user; -1: none
        ("oldest", "<i4"),
        ("pool_next", "<i4"),  # next pool row to give away
    ]
)


class State(NamedTuple):
    """C slots, W steps each, P pool rows. All arrays are owned by the engine."""

    users: Records  # (C,) USER
    ring: Records  # (C, W) STEP; the oldest step at users.ring_head
    newer: npt.NDArray[np.int32]  # (C,) next more recently active slot; -1: none
    older: npt.NDArray[np.int32]  # (C,)
    free: npt.NDArray[np.int32]  # (C,) stack of free slots, clock.free_count long
    dirty: npt.NDArray[np.uint8]  # (C,) 1: changed since the last commit
    due_bucket: npt.NDArray[np.int64]  # (C,) bucket in which the user is checked; NO_BUCKET: none
    hidden_row: npt.NDArray[np.int32]  # (C,) row of the (h, c) pool; -1: none
    pool_owner: npt.NDArray[np.int32]  # (P,) slot whose state the row holds; -1: none
    clock: Records  # (1,) CLOCK


def new_state(slots_count: int, window_steps: int, pool_rows: int, slots_max: int = 0) -> State:
    """Make an empty state; up to `slots_max` slots it grows without a copy of users and ring."""
    clock = np.zeros(1, CLOCK)
    clock["watermark_ms"] = NEVER_MS
    clock["free_count"] = slots_count
    clock["newest"] = clock["oldest"] = -1
    return State(
        users=_zeros(slots_count, slots_max, USER),
        ring=_zeros(slots_count, slots_max, STEP, window_steps),
        newer=np.full(slots_count, -1, np.int32),
        older=np.full(slots_count, -1, np.int32),
        free=np.arange(slots_count - 1, -1, -1, dtype=np.int32),
        dirty=np.zeros(slots_count, np.uint8),
        due_bucket=np.full(slots_count, NO_BUCKET, np.int64),
        hidden_row=np.full(slots_count, -1, np.int32),
        pool_owner=np.full(pool_rows, -1, np.int32),
        clock=clock,
    )


def _zeros(slots_count: int, slots_max: int, dtype: np.dtype[np.void], *shape: int) -> Records:
    """Make the first slots of an array of all: memory is taken where it is written, not before."""
    try:
        return np.zeros((max(slots_count, slots_max), *shape), dtype)[:slots_count]
    except (MemoryError, ValueError):  # more than there is, or can be: they grow by copies
        return np.zeros((slots_count, *shape), dtype)


def grown(state: State, slots_count: int) -> State:
    """Give more slots. What is small is copied, users and ring only beyond what was reserved."""
    old = len(state.users)
    bigger = new_state(slots_count, state.ring.shape[1], len(state.pool_owner))
    copied = ["newer", "older", "dirty", "due_bucket", "hidden_row"]
    users, ring = state.users.base, state.ring.base  # None in a copy of a state
    if users is not None and ring is not None and slots_count <= min(len(users), len(ring)):
        bigger = bigger._replace(users=users[:slots_count], ring=ring[:slots_count])
    else:
        copied += ["users", "ring"]
    for name in copied:
        getattr(bigger, name)[:old] = getattr(state, name)
    used = int(state.clock["free_count"][0])
    added = np.arange(slots_count - 1, old - 1, -1, dtype=np.int32)
    bigger.free[: len(added)] = added
    bigger.free[len(added) : len(added) + used] = state.free[:used]
    bigger.pool_owner[:] = state.pool_owner
    bigger.clock[:] = state.clock
    bigger.clock["free_count"] = used + len(added)
    return bigger


def with_room(state: State, users_new: int, cap: int, slots_max: int) -> State:
    """Give the state itself or one with slots for so many new users, as far as slots_max allows.

    Up to `cap` slots double; beyond it, which only a restore may go, an eighth of it is added.
    """
    slots_count = len(state.users)
    missing = users_new - int(state.clock["free_count"][0])
    if missing <= 0 or slots_count >= slots_max:
        return state
    slots_new = slots_count
    while slots_new < min(slots_count + missing, slots_max):
        slots_new = min(2 * slots_new, cap) if slots_new < cap else slots_new + cap // 8 + 1
    return grown(state, min(slots_new, slots_max))


def packed(state: State, slots_count: int) -> tuple[State, npt.NDArray[np.int64]]:
    """Copy the users into fewer slots, from slot 0 on; also gives the slots that they had.

    What is derived (the list of activity, the time index) is to be made anew; no (h, c) is kept.
    """
    used = np.flatnonzero(state.users["epoch"])
    smaller = new_state(slots_count, state.ring.shape[1], len(state.pool_owner))
    for name in ("users", "ring", "dirty"):
        getattr(smaller, name)[: len(used)] = getattr(state, name)[used]
    smaller.clock[:] = state.clock
    smaller.clock["free_count"] = slots_count - len(used)
    return smaller, used


@compiled
def unlink(state: State, slot: int) -> None:
    """Take a slot out of the list of activity."""
    clock = state.clock[0]
    newer = state.newer[slot]
    older = state.older[slot]
    if newer >= 0:
        state.older[newer] = older
    else:
        clock.newest = older
    if older >= 0:
        state.newer[older] = newer
    else:
        clock.oldest = newer
    state.newer[slot] = -1
    state.older[slot] = -1


@compiled
def link_newest(state: State, slot: int) -> None:
    """Put a slot at the recent end of the list of activity."""
    clock = state.clock[0]
    former = clock.newest
    state.older[slot] = former
    state.newer[slot] = -1
    if former >= 0:
        state.newer[former] = slot
    else:
        clock.oldest = slot
    clock.newest = slot


@compiled
def link_all(state: State, slots: npt.NDArray[np.int64]) -> None:
    """Put slots at the recent end, one after the other."""
    for slot in slots:
        link_newest(state, slot)


@compiled
def take_slot(state: State, epoch: int) -> int:
    """Take a free slot for a new user. The caller has made sure that there is one."""
    clock = state.clock[0]
    clock.free_count -= 1
    slot = state.free[clock.free_count]
    user = state.users[slot]
    user.epoch = epoch
    user.steps_count = 0
    user.user_seq = 0
    user.seq_last = epoch
    user.time_last_ms = NEVER_MS
    user.shop_last_ms = NEVER_MS
    for index in range(3):
        user.type_time_ms[index] = NEVER_MS
        user.counter_bucket[index] = 0
        user.next_event[index] = 0
    user.source_last = -1
    user.counters[:] = 0
    user.revision = 0
    user.channel = 0
    user.device = 0
    user.region = 0
    user.purchase = -1
    user.hazard[:] = -1
    user.churn = -1
    user.next_check_ms = ALWAYS_LATER_MS
    user.silence_start_ms = 0
    user.fired_ms = 0
    user.fired_shop_ms = 0
    user.alert_sequence = 0
    user.alert_state = 0
    user.alert_level = 0
    user.alert_reason = 0
    user.ring_head = 0
    user.ring_len = 0
    clock.users_count += 1
    link_newest(state, slot)
    return int(slot)


@compiled
def free_slot(state: State, slot: int) -> None:
    """Give a user's slot back. Its entry in the time index and its pool row are dropped with it."""
    clock = state.clock[0]
    unlink(state, slot)
    row = state.hidden_row[slot]
    if row >= 0:
        state.pool_owner[row] = -1
        state.hidden_row[slot] = -1
    state.users[slot].epoch = 0
    state.dirty[slot] = 0
    state.due_bucket[slot] = NO_BUCKET
    state.free[clock.free_count] = slot
    clock.free_count += 1
    clock.users_count -= 1
