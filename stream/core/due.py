"""The time index: which users must be looked at in which bucket. Derived from state, O(due).

A list of slots for each bucket that has any. An entry counts only while `due_bucket` of its slot
names its bucket: a user whose check moves to a later bucket keeps its entry and is entered again
when that comes up.
Entries that count no more (users who left, checks that moved earlier) are cleared away when they
outnumber the users: else users who come and go would fill it until their time to live is over.
"""

import heapq
from array import array

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled_short
from stream.core.state import NO_BUCKET, State

ENTRIES_SPARE = 1024  # that may be held beyond two a user


class DueIndex:
    """Users by the bucket of their next check. At most one live entry per user."""

    def __init__(self, bucket_ms: int) -> None:
        self._bucket_ms = bucket_ms
        self._slots: dict[int, array[int]] = {}  # int32, by bucket
        self._buckets: list[int] = []  # its keys, a heap
        self._count = 0

    def note(self, state: State, slots: npt.NDArray[np.int32]) -> None:
        """Enter users whose `next_check_ms` may have changed; one may be named several times.

        0.2 us for one that moves earlier.
        """
        moved = np.empty(len(slots), np.int32)
        count = _move_earlier(state, slots, self._bucket_ms, moved)
        if count:
            moved = moved[:count]
            buckets = state.due_bucket[moved].tolist()
            for bucket, slot in zip(buckets, moved.tolist(), strict=True):
                entries = self._slots.get(bucket)
                if entries is None:
                    entries = self._open(bucket)
                entries.append(slot)
            self._count += count
        if self._count > 2 * int(state.clock["users_count"][0]) + ENTRIES_SPARE:
            self._clear(state)

    def __len__(self) -> int:
        return self._count

    def rebuild(self, state: State) -> None:
        """Enter all users anew, after a restore."""
        state.due_bucket[:] = NO_BUCKET
        slots = np.flatnonzero(state.users["epoch"]).astype(np.int32)
        _move_earlier(state, slots, self._bucket_ms, np.empty(len(slots), np.int32))
        self._clear(state)

    def bucket_next(self) -> int:
        """Return the first bucket with an entry, live or not; NO_BUCKET when there is none."""
        return self._buckets[0] if self._buckets else NO_BUCKET

    def pop(self, state: State, bucket: int) -> npt.NDArray[np.int32]:
        """Take out the users of the buckets up to one, in the order of buckets and slots."""
        found = [np.zeros(0, np.int32)]
        while self._buckets and self._buckets[0] <= bucket:
            at = heapq.heappop(self._buckets)
            entries = np.frombuffer(self._slots.pop(at), np.int32)
            self._count -= len(entries)
            slots = np.unique(entries)
            slots = slots[state.due_bucket[slots] == at]
            state.due_bucket[slots] = NO_BUCKET
            found.append(slots)
        return np.concatenate(found)

    def _open(self, bucket: int) -> "array[int]":
        entries = self._slots[bucket] = array("i")
        heapq.heappush(self._buckets, bucket)
        return entries

    def _clear(self, state: State) -> None:
        """Keep only what counts. 0.1 us a slot, at most once for as many entries as users."""
        live = np.flatnonzero(state.due_bucket != NO_BUCKET).astype(np.int32)
        buckets = state.due_bucket[live]
        order = np.argsort(buckets, kind="stable")
        found, firsts = np.unique(buckets[order], return_index=True)
        self._slots, self._buckets, self._count = {}, [], len(live)
        for bucket, part in zip(
            found.tolist(), np.split(live[order], firsts[1:]) if len(live) else [], strict=True
        ):
            self._open(bucket).frombytes(part.tobytes())


@compiled_short
def _move_earlier(
    state: State, slots: npt.NDArray[np.int32], bucket_ms: int, moved: npt.NDArray[np.int32]
) -> int:
    """Set `due_bucket` of users whose check moved to an earlier bucket; returns how many moved."""
    count = 0
    bucket_open = state.clock[0].bucket
    for index in range(len(slots)):
        slot = slots[index]
        # The bucket whose end is not before the check.
        bucket = max(-(-state.users[slot].next_check_ms // bucket_ms) - 1, bucket_open)
        if bucket < state.due_bucket[slot]:
            state.due_bucket[slot] = bucket
            moved[count] = slot
            count += 1
    return count
