"""The changelog's records: one per user, one header per partition, one per forgotten user.

    user       key = the user's key          value = version u8 | USER | STEPs, oldest first
    header     key = 0x00 "header"           value = JSON of Header
    forgotten  key = 0x00 "forgotten" hash   value = time i64 little-endian, ms

Little-endian throughout; no user's key begins with 0x00. A version that is not known is refused.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from stream.core.compiled import compiled
from stream.core.cut import cut
from stream.core.engine import Engine
from stream.core.intrinsics import copy_bytes
from stream.core.layout import LAYOUT_VERSION, STEP, USER, Records
from stream.core.results import Touched
from stream.core.state import CLOCK, WITNESSES
from stream.wire.limits import KEY_BYTES_MAX
from stream.wire.state_check import (
    FIELDS,
    StateError,
    check_forgotten,
    check_header,
    check_key,
    wrong_field,
)
from stream.wire.texts import Texts

HEADER_KEY = b"\x00header"
FORGOTTEN_PREFIX = b"\x00forgotten"
_FIXED_BYTES = 1 + USER.itemsize
_STEP_BYTES = STEP.itemsize
_NOT_A_ROW = -1


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a partition's state contains, as of the transaction that wrote it."""

    layout_version: int
    window_steps: int
    partitions: int  # of each input topic
    offset_next: dict[str, int]  # per input topic: first offset whose effect is not in the state
    partition_seq: int
    watermark_ms: int
    shop_ms: int
    bucket: int  # index of the open bucket, of bucket_ms
    bucket_ms: int
    witness_epoch: list[int]
    witness_ms: list[int]
    jumps_held: int
    users_count: int
    outcomes: dict[str, int]  # rows by outcome, ever
    hash_key_id: str = ""  # tells the key of the forgotten users' hashes; "": there are none


_header_decoder = msgspec.json.Decoder(Header)


def header_of(
    engine: Engine, partitions: int, offset_next: dict[str, int], outcomes: dict[str, int]
) -> Header:
    """Describe an engine's state."""
    clock = engine.state.clock[0]
    witnesses = int(clock["witness_count"])
    return Header(
        layout_version=LAYOUT_VERSION,
        window_steps=engine.config.window_steps,
        partitions=partitions,
        offset_next=offset_next,
        partition_seq=int(clock["seq"]),
        watermark_ms=int(clock["watermark_ms"]),
        shop_ms=int(clock["shop_ms"]),
        bucket=int(clock["bucket"]),
        bucket_ms=engine.config.bucket_ms,
        witness_epoch=clock["witness_epoch"][:witnesses].tolist(),
        witness_ms=clock["witness_ms"][:witnesses].tolist(),
        jumps_held=int(clock["jumps_held"]),
        users_count=engine.users_count,
        outcomes=outcomes,
        hash_key_id=engine.forgotten.key_id if len(engine.forgotten) else "",
    )


def clock_of(header: Header) -> Records:
    """Return the clocks as a CLOCK record."""
    clock = np.zeros(1, CLOCK)
    clock["seq"] = header.partition_seq
    clock["watermark_ms"] = header.watermark_ms
    clock["shop_ms"] = header.shop_ms
    clock["bucket"] = header.bucket
    count = min(len(header.witness_epoch), WITNESSES)
    clock["witness_epoch"][0, :count] = header.witness_epoch[:count]
    clock["witness_ms"][0, :count] = header.witness_ms[:count]
    clock["witness_count"] = count
    clock["jumps_held"] = header.jumps_held
    return clock[0]  # type: ignore[no-any-return]


@compiled
def _pack(users: Records, ring: Records, slots: Records, ends: Records, out: Records) -> None:
    """Copy users and their steps, oldest first, to out; row k ends at ends[k]."""
    fixed, size = users.shape[1], ring.shape[1]  # bytes of a user, of a window
    at = 0
    for index in range(len(slots)):
        user, window = users[slots[index]], ring[slots[index]]
        out[at] = LAYOUT_VERSION
        copy_bytes(out, at + 1, user, 0, fixed)
        head = int(user[fixed - 2]) * _STEP_BYTES  # not 0 in a full window alone
        out[at + fixed - 1] = 0  # ring_head: the steps follow oldest first
        at += 1 + fixed
        first = min(size - head, ends[index] - at)
        copy_bytes(out, at, window, head, first)
        copy_bytes(out, at + first, window, 0, ends[index] - at - first)
        at = ends[index]


def encode_users(engine: Engine, touched: Touched) -> Texts:
    """Encode the touched users, in order. About 0.6 us and one copy of 2 kB each."""
    state = engine.state
    if not len(touched.slots):
        return Texts.of([])
    if USER.names is None or USER.names[-2:] != ("ring_head", "ring_len"):
        raise RuntimeError("USER must end with ring_head and ring_len")
    lengths = state.users["ring_len"][touched.slots].astype(np.int64)
    ends = np.cumsum(_FIXED_BYTES + lengths * _STEP_BYTES)
    out = np.empty(int(ends[-1]), np.uint8)
    slots_count, window = state.ring.shape
    _pack(
        state.users.view(np.uint8).reshape(slots_count, USER.itemsize),
        state.ring.view(np.uint8).reshape(slots_count, window * _STEP_BYTES),
        touched.slots,
        ends,
        out,
    )
    return Texts.ending(out, ends)


class Changes(NamedTuple):
    """What a commit says of a partition's state: records, and the header behind them."""

    keys: Texts
    values: Texts
    header: Header
    header_value: bytes

    def records(self) -> list[tuple[bytes, bytes | None]]:
        """Give all records, the header last."""
        rows = zip(self.keys, self.values, strict=True)
        return [*((key or b"", value) for key, value in rows), (HEADER_KEY, self.header_value)]


def changelog(
    engine: Engine, partitions: int, offset_next: dict[str, int], outcomes: dict[str, int]
) -> Changes:
    """Take what changed since the last call.

    Who is gone comes first: a restore that stops anywhere in them has no user too many.
    """
    touched = engine.take_touched()
    forgotten = [
        None if time_ms is None else time_ms.to_bytes(8, "little", signed=True)
        for time_ms in touched.forgotten.values()
    ]
    names = [FORGOTTEN_PREFIX + name for name in touched.forgotten]
    users = encode_users(engine, touched)
    header = header_of(engine, partitions, offset_next, outcomes)
    check_header(header)  # else it would be committed, and refused at the restore
    return Changes(
        Texts.of([*touched.gone, *touched.keys, *names]),
        Texts.joined([Texts.of([None] * len(touched.gone)), users, Texts.of(forgotten)]),
        header,
        msgspec.json.encode(header),
    )


def decode_header(value: bytes) -> Header:
    """Read a header. Raises StateError."""
    try:
        header = _header_decoder.decode(value)
    except (ValueError, RecursionError) as error:  # DecodeError, UnicodeDecodeError: ValueErrors
        raise StateError(f"header of {len(value)} bytes: {error}") from error
    if header.layout_version != LAYOUT_VERSION:
        raise StateError(
            f"state of layout version {header.layout_version}, this program reads {LAYOUT_VERSION}"
        )
    check_header(header)
    return header


def _check_row(value: bytes) -> None:
    """Refuse a row that is not of this version. Raises StateError."""
    if not value or value[0] != LAYOUT_VERSION:
        found = value[0] if value else None
        raise StateError(f"state row of version {found}, this program reads {LAYOUT_VERSION}")
    steps = value[_FIXED_BYTES - 1] if len(value) >= _FIXED_BYTES else 0
    if len(value) != _FIXED_BYTES + steps * STEP.itemsize:
        raise StateError(f"state row of {len(value)} bytes with {steps} steps")


def decode_row(value: bytes) -> tuple[Records, Records]:
    """Return (USER record, (k,) STEP oldest first), copies. Raises StateError."""
    _check_row(value)
    user = np.frombuffer(value, USER, 1, 1).copy()[0]
    steps = np.frombuffer(value, STEP, int(user["ring_len"]), _FIXED_BYTES).copy()
    return user, steps


@compiled
def _unpack(
    data: Records,
    begins: Records,
    ends: Records,
    slots: Records,
    users: Records,
    ring: Records,
    user_records: Records,  # users and ring again, as records
    ring_records: Records,
) -> tuple[int, int]:
    """Copy rows into users and ring; of more steps than the window holds, the newest.

    Returns how many rows were taken, and what is wrong in the next one: an index into FIELDS, or
    _NOT_A_ROW, of which `_check_row` tells.
    """
    fixed = users.shape[1]
    window = ring.shape[1] // _STEP_BYTES
    for index in range(len(slots)):
        slot, first, end = slots[index], begins[index] + 1 + fixed, ends[index]
        if first > end or data[begins[index]] != LAYOUT_VERSION:
            return index, _NOT_A_ROW
        steps = np.int64(data[first - 1])
        if end - first != steps * _STEP_BYTES:
            return index, _NOT_A_ROW
        kept = min(steps, window)
        copy_bytes(users[slot], 0, data, begins[index] + 1, fixed)
        users[slot, fixed - 1] = kept
        copy_bytes(ring[slot], 0, data, end - kept * _STEP_BYTES, kept * _STEP_BYTES)
        wrong = wrong_field(user_records[slot], ring_records[slot])
        if wrong:
            return index, wrong
    return len(slots), 0


class _Keys(NamedTuple):
    """The keys of some records."""

    names: list[bytes]  # a null one is empty
    own: list[int]  # rows whose key begins with 0x00: not a user's
    checked: bool  # each could be a user's; else `check_key` is to say

    @classmethod
    def of(cls, keys: Texts) -> "_Keys":
        """Copy them out, 0.1 us each."""
        sizes = np.maximum(keys.sizes, 0)
        text, names = cut(keys.data, keys.begins, sizes)
        there = np.flatnonzero(sizes)
        own = there[keys.data[keys.begins[there]] == 0]
        fit = len(there) == len(keys) and int(sizes.max(initial=0)) <= KEY_BYTES_MAX
        return cls(names, own.tolist(), fit and text.isascii())


def restore(
    engine: Engine, keys: Sequence[bytes | None], values: Sequence[bytes | None]
) -> Header | None:
    """Take changelog records into an engine, in their order; returns the last header among them.

    `engine.finish_restore(clock_of(header))` ends the restore. Raises StateError, ValueError.
    About 1.5 us a record, and one copy of its value where these are Texts.
    """
    values = Texts.of(values)
    if len(keys) != len(values):
        raise ValueError(f"{len(keys)} keys for {len(values)} values")
    names, own, checked = _Keys.of(Texts.of(keys))
    last = dict(zip(names, range(len(names)), strict=True))  # the last row of each key
    header = None
    for row in own:
        header = _restore_own(engine, names[row], values[row]) or header
        last.pop(names[row], None)
    rows = np.fromiter(last.values(), np.int64, len(last))
    gone = values.sizes[rows] < 0
    left = [names[row] for row in rows[gone].tolist()]
    if left:
        engine.restore_gone(left)
        for key in left:
            del last[key]
    users = list(last)
    if not checked:
        for key in users:
            check_key(key)
    if users:
        _restore_users(engine, users, values.at(rows[~gone]))
    return header


def _restore_own(engine: Engine, key: bytes, value: bytes | None) -> Header | None:
    """Take a record that is not a user's; returns the header if it is that."""
    if key == HEADER_KEY:
        if value is None:
            raise StateError("the header was deleted")
        return decode_header(value)
    if not key.startswith(FORGOTTEN_PREFIX):
        raise StateError(f"unknown key of {len(key)} bytes in the changelog: {key[:9]!r}...")
    name = key[len(FORGOTTEN_PREFIX) :]
    check_forgotten(name, value)
    time_ms = None if value is None else int.from_bytes(value, "little", signed=True)
    engine.restore_forgotten(name, time_ms)
    return None


def _restore_users(engine: Engine, users: list[bytes], values: Texts) -> None:
    """Write rows of users, all different, into their slots."""
    slots = engine.restore_slots(users)
    state = engine.state
    slots_count, window = state.ring.shape
    taken, wrong = _unpack(
        values.data,
        values.begins,
        values.ends,
        slots,
        state.users.view(np.uint8).reshape(slots_count, USER.itemsize),
        state.ring.view(np.uint8).reshape(slots_count, window * _STEP_BYTES),
        state.users,
        state.ring,
    )
    if wrong:
        value = values[taken] or b""
        _check_row(value)
        raise StateError(f"state row of {len(value)} bytes: {FIELDS[wrong]} is wrong")
