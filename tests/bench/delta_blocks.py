"""Delta blocks: the changelog that was not built, made for the comparison in docs/adr/0003.

    delta     kind u8 | n u32 | slots u32[n] | new u8[n] | n times (USER, its new STEPs)
    snapshot  kind u8 | n u32 | slots u32[n] | lengths u16[n] | key sizes u8[n] | keys | n rows

The rows of a snapshot are those of stream/wire/state.py. Slots are the writer's. A commit holds the
delta of its touched users and a share of the snapshot, so that a snapshot is complete after a round
of commits and no commit is larger than the others. A log is whole from the start of any complete
round: what a delta says of a user who has not come in a snapshot yet is passed over.
Left out, since the bench does not need it: new and erased users, late steps inserted into a ring.
"""

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.engine import Engine
from stream.core.intrinsics import copy_bytes
from stream.core.layout import STEP, USER, Records
from stream.core.results import Touched
from stream.wire.state import _unpack, encode_users

PIECE_BYTES_MAX: Final = 1_000_000
HEAD: Final = struct.Struct("<BI")
DELTA: Final = 1
SNAPSHOT: Final = 2

Slots = npt.NDArray[np.int64]


@compiled
def _pack_new(users: Records, ring: Records, slots: Slots, counts: Records, out: Records) -> None:
    """Copy each user and its newest `counts` steps, oldest first, to out."""
    fixed = users.shape[1]
    window, step_bytes = ring.shape[1], ring.shape[2]
    at = 0
    for index in range(len(slots)):
        slot = slots[index]
        copy_bytes(out, at, users[slot], 0, fixed)
        first = np.int64(users[slot, fixed - 2]) + np.int64(users[slot, fixed - 1]) - counts[index]
        at += fixed
        for position in range(counts[index]):
            copy_bytes(out, at, ring[slot, (first + position) % window], 0, step_bytes)
            at += step_bytes


@compiled
def _apply_new(
    rows: Records, slots: Records, counts: Records, users: Records, ring: Records
) -> None:
    """Take users over and append their new steps; the reader's own head of the ring stays."""
    fixed = users.shape[1]
    window, step_bytes = ring.shape[1], ring.shape[2]
    at = 0
    for index in range(len(slots)):
        slot = slots[index]
        if slot < 0:
            at += fixed + counts[index] * step_bytes
            continue
        copy_bytes(users[slot], 0, rows, at, fixed - 2)
        at += fixed
        head = np.int64(users[slot, fixed - 2])
        held = np.int64(users[slot, fixed - 1])
        for _ in range(counts[index]):
            copy_bytes(ring[slot, (head + held) % window], 0, rows, at, step_bytes)
            at += step_bytes
            if held < window:
                held += 1
            else:
                head = (head + 1) % window
        users[slot, fixed - 2] = head
        users[slot, fixed - 1] = held


def _bytes_of(engine: Engine) -> tuple[Records, Records]:
    """Return users (C, bytes) and ring (C, W, bytes) as views."""
    state = engine.state
    slots_count, window = state.ring.shape
    users = state.users.view(np.uint8).reshape(slots_count, USER.itemsize)
    return users, state.ring.view(np.uint8).reshape(slots_count, window, STEP.itemsize)


def _pieces(sizes: Slots) -> Iterator[tuple[int, int]]:
    """Cut into ranges of at most PIECE_BYTES_MAX each."""
    ends = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + PIECE_BYTES_MAX, side="right"))
        last = max(last, first + 1)
        yield first, last
        first = last


def encode_delta(engine: Engine, new: npt.NDArray[np.uint8]) -> list[bytes]:
    """Encode the touched users with the steps that are `new` (C,) since the last call."""
    slots = np.flatnonzero(engine.state.dirty)
    counts = np.minimum(new[slots], engine.config.window_steps).astype(np.int64)
    engine.state.dirty[slots] = 0
    new[slots] = 0
    users, ring = _bytes_of(engine)
    sizes = USER.itemsize + counts * STEP.itemsize
    values = []
    for first, last in _pieces(sizes + 5):
        rows = np.empty(int(sizes[first:last].sum()), np.uint8)
        _pack_new(users, ring, slots[first:last], counts[first:last], rows)
        parts = (
            HEAD.pack(DELTA, last - first),
            slots[first:last].astype("<u4").data,
            counts[first:last].astype(np.uint8).data,
            rows.data,
        )
        values.append(b"".join(parts))
    return values


def encode_snapshot(engine: Engine, slots: Slots) -> list[bytes]:
    """Encode users whole."""
    keys = [engine._key(slot) for slot in slots.tolist()]
    rows = [row or b"" for row in encode_users(engine, Touched(slots, keys, [], {}))]
    sizes = np.array([len(row) + len(key) + 7 for row, key in zip(rows, keys, strict=True)])
    return [
        b"".join(
            (
                HEAD.pack(SNAPSHOT, last - first),
                slots[first:last].astype("<u4").data,
                np.array([len(row) for row in rows[first:last]], "<u2").data,
                np.array([len(key) for key in keys[first:last]], np.uint8).data,
                *keys[first:last],
                *rows[first:last],
            )
        )
        for first, last in _pieces(sizes)
    ]


class BlockReader:
    """Takes the blocks of one partition into an engine, in their order."""

    def __init__(self, engine: Engine, slots_count: int) -> None:
        self._engine = engine
        self._slot_of = np.full(slots_count, -1, np.int32)  # by the writer's slot

    def apply(self, value: bytes) -> None:
        """Apply a block."""
        kind, count = HEAD.unpack_from(value)
        writers = np.frombuffer(value, "<u4", count, HEAD.size)
        at = HEAD.size + 4 * count
        if kind == DELTA:
            counts = np.frombuffer(value, np.uint8, count, at).astype(np.int64)
            rows = np.frombuffer(value, np.uint8, offset=at + count)
            _apply_new(rows, self._slot_of[writers], counts, *_bytes_of(self._engine))
            return
        lengths = np.frombuffer(value, "<u2", count, at)
        at += 2 * count
        sizes = np.frombuffer(value, np.uint8, count, at).tolist()
        at += count
        keys = []
        for size in sizes:
            keys.append(value[at : at + size])
            at += size
        slots = self._engine.restore_slots(keys)
        self._slot_of[writers] = slots
        rows = np.frombuffer(value, np.uint8, offset=at)
        state = self._engine.state
        ends = np.cumsum(lengths.astype(np.int64))
        users, ring = _bytes_of(self._engine)
        flat = ring.reshape(len(ring), -1)
        begins = np.concatenate([[0], ends[:-1]])
        _unpack(rows, begins, ends, slots, users, flat, state.users, state.ring)
