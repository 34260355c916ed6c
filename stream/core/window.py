"""The ring of a user's last steps: find, insert, digest, and how many steps make the score."""

import numpy as np

from stream.core.compiled import compiled
from stream.core.layout import SESSION_GAP_MS, TOKENS_MAX, Record
from stream.core.state import State

_MIX_1 = np.uint64(0x9E3779B97F4A7C15)
_MIX_2 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_3 = np.uint64(0x94D049BB133111EB)
_MIX_4 = np.uint64(0xD6E8FEB86659FD93)
_SHIFT_16 = np.uint64(16)
_SHIFT_29 = np.uint64(29)
_SHIFT_32 = np.uint64(32)


@compiled
def ring_at(head: np.int64, position: np.int64 | int, size: int) -> np.int64:
    """Return the ring index of a position. Compares, where `%` would divide by a variable."""
    at = head + position
    return at - size if at >= size else at


@compiled
def scored_steps(steps_count: int, refresh_steps: int) -> int:
    """Return m: the score after step n is the model from zero state over the last m steps."""
    if steps_count <= 2 * refresh_steps:
        return steps_count
    return refresh_steps + 1 + (steps_count - 1) % refresh_steps


@compiled
def find_event(state: State, slot: int, event_id: np.uint64) -> int:
    """Return the ring index of a step of this event, or -1. Cost 0.05 to 0.2 us, by cache."""
    ring = state.ring[slot]
    # A ring that is not full has its steps at the front: the head moves only when it is full.
    for index in range(np.int64(state.users[slot].ring_len)):
        if ring[index].event_id == event_id:
            return index
    return -1


@compiled
def insert_step(state: State, slot: int, step: Record) -> bool:
    """Insert by (event time, arrival); False when the step was itself the oldest of a full ring."""
    ring = state.ring[slot]
    user = state.users[slot]
    size = ring.shape[0]
    length = np.int64(user.ring_len)
    head = np.int64(user.ring_head)
    position = length  # after the last step whose time is not later
    while position > 0:
        at = ring_at(head, position - 1, size)
        if ring[at].time_ms <= step.time_ms:
            break
        position -= 1
    if length == size:
        if position == 0:
            return False
        head = ring_at(head, 1, size)
        user.ring_head = head
        position -= 1
        length -= 1
    for index in range(length, position, -1):
        ring[ring_at(head, index, size)] = ring[ring_at(head, index - 1, size)]
    ring[ring_at(head, position, size)] = step
    user.ring_len = length + 1
    return True


@compiled
def session_start(state: State, slot: int) -> int:
    """Position of the first step of the user's last session (no gap above 30 min within it)."""
    ring = state.ring[slot]
    user = state.users[slot]
    size = ring.shape[0]
    head = np.int64(user.ring_head)
    position = int(np.int64(user.ring_len) - 1)
    while position > 0:
        later = ring[ring_at(head, position, size)].time_ms
        earlier = ring[ring_at(head, position - 1, size)].time_ms
        if later - earlier > SESSION_GAP_MS:
            break
        position -= 1
    return position


@compiled
def digest(state: State, slot: int) -> np.uint64:
    """Hash the steps held, in order, all of a STEP but its source.

    For each step, x = its words, each times an odd constant, folded by xor (docs/engine.md);
    h = (h xor x) * MIX_1, then h ^= h >> 29. Starts from the number of steps. Cost about 0.1 us.
    """
    ring = state.ring[slot]
    user = state.users[slot]
    size = ring.shape[0]
    head = np.int64(user.ring_head)
    value = np.uint64(user.ring_len)
    for position in range(np.int64(user.ring_len)):
        step = ring[ring_at(head, position, size)]
        word = step.event_id * _MIX_2
        word ^= step.item * _MIX_3
        word ^= np.uint64(step.time_ms) * _MIX_1
        price = np.uint64(np.uint32(step.price_cents))
        word ^= (price << _SHIFT_32) | np.uint64(step.category)
        kind = np.int64(step.event_type) * 256 + np.int64(step.action)
        word ^= np.uint64(np.int64(step.quantity) * 65_536 + kind) * _MIX_2
        tokens = np.uint64(0)
        for token in range(TOKENS_MAX):
            tokens = (tokens << _SHIFT_16) | np.uint64(step.tokens[token])
        word ^= tokens * _MIX_4
        value = (value ^ word) * _MIX_1
        value ^= value >> _SHIFT_29
    return value
