"""The changelog's records: one per user, one header per partition, one per forgotten user.

    user       key = the user's key          value = version u8 | USER | STEPs, oldest first
    header     key = 0x00 "header"           value = JSON of Header
    forgotten  key = 0x00 "forgotten" hash   value = time i64 little-endian, ms

Little-endian throughout; no user's key begins with 0x00. A version that is not known is refused.
"""

from collections.abc import Iterable

import msgspec
import numpy as np

from stream.core.compiled import compiled
from stream.core.engine import Engine
from stream.core.layout import LAYOUT_VERSION, STEP, USER, Records
from stream.core.results import Touched
from stream.core.state import CLOCK, WITNESSES
from stream.wire.state_check import (
    FIELDS,
    StateError,
    check_forgotten,
    check_header,
    check_key,
    wrong_field,
)

HEADER_KEY = b"\x00header"
FORGOTTEN_PREFIX = b"\x00forgotten"
_FIXED_BYTES = 1 + USER.itemsize
_STEP_BYTES = STEP.itemsize


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
    fixed = users.shape[1]
    window, step_bytes = ring.shape[1], ring.shape[2]
    at = 0
    for index in range(len(slots)):
        slot = slots[index]
        out[at] = LAYOUT_VERSION
        out[at + 1 : at + 1 + fixed] = users[slot]
        head = np.int64(users[slot, fixed - 2])
        out[at + fixed - 1] = 0  # ring_head: the steps follow oldest first
        at += 1 + fixed
        steps = (ends[index] - at) // step_bytes
        for position in range(steps):
            out[at : at + step_bytes] = ring[slot, (head + position) % window]
            at += step_bytes


def encode_users(engine: Engine, touched: Touched) -> list[bytes]:
    """Encode the touched users, in order. About 0.6 us and one copy of 2 kB each."""
    state = engine.state
    if not len(touched.slots):
        return []
    if USER.names is None or USER.names[-2:] != ("ring_head", "ring_len"):
        raise RuntimeError("USER must end with ring_head and ring_len")
    lengths = state.users["ring_len"][touched.slots].astype(np.int64)
    ends = np.cumsum(_FIXED_BYTES + lengths * STEP.itemsize)
    out = np.empty(int(ends[-1]), np.uint8)
    slots_count, window = state.ring.shape
    _pack(
        state.users.view(np.uint8).reshape(slots_count, USER.itemsize),
        state.ring.view(np.uint8).reshape(slots_count, window, STEP.itemsize),
        touched.slots,
        ends,
        out,
    )
    whole = out.tobytes()
    values = []
    start = 0
    for end in ends.tolist():
        values.append(whole[start:end])
        start = end
    return values


def changelog(
    engine: Engine, partitions: int, offset_next: dict[str, int], outcomes: dict[str, int]
) -> list[tuple[bytes, bytes | None]]:
    """Take what changed since the last call as changelog records, the header last.

    Who is gone comes first: a restore that stops anywhere in them has no user too many.
    """
    touched = engine.take_touched()
    records: list[tuple[bytes, bytes | None]] = [(key, None) for key in touched.gone]
    records += zip(touched.keys, encode_users(engine, touched), strict=True)
    for name, time_ms in touched.forgotten.items():
        value = None if time_ms is None else time_ms.to_bytes(8, "little", signed=True)
        records.append((FORGOTTEN_PREFIX + name, value))
    header = header_of(engine, partitions, offset_next, outcomes)
    records.append((HEADER_KEY, msgspec.json.encode(header)))
    return records


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
    rows: Records,
    ends: Records,
    slots: Records,
    users: Records,
    ring: Records,
    user_records: Records,  # users and ring again, as records
    ring_records: Records,
) -> tuple[int, int]:
    """Copy rows into users and ring; of more steps than the window holds, the newest.

    Returns how many rows were taken, and the index into FIELDS of what is wrong in the next one.
    """
    fixed = users.shape[1]
    window = ring.shape[1] // _STEP_BYTES
    start = 0
    for index in range(len(slots)):
        slot = slots[index]
        users[slot] = rows[start + 1 : start + 1 + fixed]
        first = start + 1 + fixed
        steps = (ends[index] - first) // _STEP_BYTES
        kept = min(steps, window)
        users[slot, fixed - 1] = kept
        ring[slot, : kept * _STEP_BYTES] = rows[ends[index] - kept * _STEP_BYTES : ends[index]]
        wrong = wrong_field(user_records[slot], ring_records[slot])
        if wrong:
            return index, wrong
        start = ends[index]
    return len(slots), 0


def restore(engine: Engine, records: Iterable[tuple[bytes, bytes | None]]) -> Header | None:
    """Take changelog records into an engine, in their order; returns the last header among them.

    `engine.finish_restore(clock_of(header))` ends the restore. Raises StateError, ValueError.
    About 2 us a record and one copy of it.
    """
    header = None
    rows: dict[bytes, bytes | None] = {}  # the last of each user
    for key, value in records:
        if not key.startswith(b"\x00"):
            rows[key] = value
        elif key == HEADER_KEY:
            if value is None:
                raise StateError("the header was deleted")
            header = decode_header(value)
        elif key.startswith(FORGOTTEN_PREFIX):
            name = key[len(FORGOTTEN_PREFIX) :]
            check_forgotten(name, value)
            time_ms = None if value is None else int.from_bytes(value, "little", signed=True)
            engine.restore_forgotten(name, time_ms)
        else:
            raise StateError(f"unknown key of {len(key)} bytes in the changelog: {key[:9]!r}...")
    for key in [key for key, value in rows.items() if value is None]:
        engine.restore_gone(key)
        del rows[key]
    values = [value for value in rows.values() if value is not None]
    for key, value in zip(rows, values, strict=True):
        check_key(key)
        _check_row(value)
    if values:
        slots = engine.restore_slots(list(rows))
        state = engine.state
        slots_count, window = state.ring.shape
        taken, wrong = _unpack(
            np.frombuffer(b"".join(values), np.uint8),
            np.cumsum([len(value) for value in values]),
            slots,
            state.users.view(np.uint8).reshape(slots_count, USER.itemsize),
            state.ring.view(np.uint8).reshape(slots_count, window * _STEP_BYTES),
            state.users,
            state.ring,
        )
        if wrong:
            raise StateError(f"state row of {len(values[taken])} bytes: {FIELDS[wrong]} is wrong")
    return header
