"""Who stands in which slot: keys to slots and back, in arrays, about 26 bytes a user.

A dict, its numbers and the objects of the keys would take 130. `table` holds slots by hash, with
linear probing; who leaves makes those behind move up, so nothing is left of him. A key lies in
`text` behind its size, 2 bytes, from a multiple of 4 on. Hashes are the interpreter's own: of bytes
they are keyed by a secret of the process, so nobody can choose keys that fall together.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled, compiled_short
from stream.core.cut import cut
from stream.core.intrinsics import copy_bytes
from stream.core.layout import Bytes, Record, Records

ALIGN: Final = 4  # of a key in `text`: places are counted in these, so 16 GB are in reach
SIZE_BYTES: Final = 2
KEY_BYTES_MAX: Final = (1 << 16) - 1
TABLE_START: Final = 1  # so small that all kernels are compiled before there is work
TEXT_START: Final = ALIGN
# The table is at most LOAD full, then grows by half: probes stay few, and 5 to 8 bytes a user.
LOAD: Final = (4, 5)
TEXT_BYTES_MAX: Final = ALIGN << 32

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]


class Table(NamedTuple):
    """T places, C slots. Owned by Slots."""

    table: Numbers  # (T,) slot; -1: none
    hashes: npt.NDArray[np.uint32]  # (C,) of the slot's key
    begins: npt.NDArray[np.uint32]  # (C,) of the slot's key in text, in ALIGN bytes; 0: no key
    text: Bytes  # keys behind their sizes, from ALIGN on
    counts: Integers  # (3,) users, bytes of text in use, those of them of keys that left


def _new(table: int, slots: int, text: int) -> Table:
    return Table(
        np.full(table, -1, np.int32),
        np.zeros(slots, np.uint32),
        np.zeros(slots, np.uint32),
        np.zeros(text, np.uint8),
        np.array([0, ALIGN, 0], np.int64),
    )


class _Keys(NamedTuple):
    """Keys as a kernel reads them."""

    data: Bytes
    ends: Integers
    hashes: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, keys: list[bytes]) -> "_Keys":
        count = len(keys)
        ends = np.cumsum(np.fromiter(map(len, keys), np.int64, count))
        hashes = np.fromiter(map(hash, keys), np.int64, count).view(np.uint64)
        folded = (hashes ^ (hashes >> np.uint64(32))).astype(np.uint32)
        return cls(np.frombuffer(b"".join(keys), np.uint8), ends, folded)


class Slots(Mapping[bytes, int]):
    """Slots by key, keys by slot. As a mapping it is for looking at, some microseconds a key."""

    def __init__(self, slots_count: int) -> None:
        self._of = _new(TABLE_START, slots_count, TEXT_START)

    def find(self, keys: list[bytes]) -> Numbers:
        """Return the slots of keys; -1: none. 0.15 us a key."""
        found = np.full(len(keys), -1, np.int32)
        if keys:
            _find(self._of, *_Keys.of(keys), found)
        return found

    def name(self, slot: int) -> bytes | None:
        """Copy the key of a slot out, 1 us; None: nobody is there."""
        begin = int(self._of.begins[slot]) * ALIGN + SIZE_BYTES
        if begin == SIZE_BYTES:
            return None
        low, high = self._of.text[begin - SIZE_BYTES : begin].tolist()
        return self._of.text[begin : begin + low + 256 * high].tobytes()

    def names(self, slots: Integers | Numbers) -> list[bytes]:
        """Copy the keys of slots out, 0.1 us each. Raises RuntimeError where one is free."""
        begins = self._of.begins[slots]
        if not begins.all():
            raise RuntimeError(f"slot {slots[np.flatnonzero(begins == 0)[0]]} has no user")
        return self._read(begins.astype(np.int64) * ALIGN)

    def change(self, created: npt.NDArray[np.bool_], slots: Numbers, keys: list[bytes]) -> None:
        """Let keys take slots and leave them, in order; `keys` are replaced by those that left.

        created: (n,) True: keys[i], who has no slot, takes slots[i]; else that slot becomes free,
        and keys[i] is then its key. A slot of -1 does nothing. 0.2 us each.
        """
        new = [key if made else b"" for key, made in zip(keys, created.tolist(), strict=True)]
        text = _Keys.of(new)
        if max(map(len, new), default=0) > KEY_BYTES_MAX:
            raise ValueError(f"a key of more than {KEY_BYTES_MAX} bytes")
        made_count = int(created.sum())
        self._make_room(made_count, len(text.data) + made_count * (SIZE_BYTES + ALIGN))
        left = np.zeros(len(new), np.int64)
        wrong = _change(self._of, *text, created, slots, left)
        if wrong >= 0:
            raise RuntimeError(f"the user of slot {slots[wrong]} is not known")
        gone = np.flatnonzero(left)
        if len(gone):
            for at, name in zip(gone.tolist(), self._read(left[gone]), strict=True):
                keys[at] = name

    def grow(self, slots_count: int) -> None:
        """Make room for more slots."""
        old = self._of
        hashes, begins = np.zeros(slots_count, np.uint32), np.zeros(slots_count, np.uint32)
        hashes[: len(old.hashes)] = old.hashes
        begins[: len(old.begins)] = old.begins
        self._of = old._replace(hashes=hashes, begins=begins)

    @property
    def bytes_count(self) -> int:
        """Size of the arrays."""
        return sum(array.nbytes for array in self._of)

    def __len__(self) -> int:
        return int(self._of.counts[0])

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.names(np.flatnonzero(self._of.begins)))

    def __getitem__(self, key: bytes) -> int:
        slot = int(self.find([key])[0])
        if slot < 0:
            raise KeyError("no such user")  # a key is not for messages
        return slot

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and int(self.find([key])[0]) >= 0

    def _read(self, begins: Integers) -> list[bytes]:
        """Copy out the keys that lie at places of `text`."""
        text = self._of.text
        sizes = text[begins] + text[begins + 1].astype(np.int64) * 256
        return cut(text, begins + SIZE_BYTES, sizes)[1]

    def _make_room(self, users: int, text_bytes: int) -> None:
        of = self._of
        wanted = (int(of.counts[0]) + users) * LOAD[1] // LOAD[0] + 1
        if wanted > len(of.table):
            table = np.full(max(wanted, len(of.table) * 3 // 2), -1, np.int32)
            _fill(table, of.hashes, of.begins)
            self._of = of = of._replace(table=table)
        used, left = of.counts[1:].tolist()
        if used + text_bytes <= len(of.text):
            return
        kept = used - left
        if kept + text_bytes > TEXT_BYTES_MAX:
            raise ValueError(f"keys of {kept + text_bytes} bytes, at most {TEXT_BYTES_MAX}")
        text = np.zeros(min(max(2 * kept, TEXT_START) + text_bytes, TEXT_BYTES_MAX), np.uint8)
        of.counts[1] = _pack(text, of.text, of.begins)
        of.counts[2] = 0
        self._of = of._replace(text=text)


@compiled_short
def _int(number: Record) -> int:
    """Make a number of another type an int64: of uint64 and int64 a kernel makes floats."""
    return np.int64(number)  # type: ignore[return-value]


@compiled_short
def _size(text: Bytes, begin: int) -> int:
    """Bytes of the key that lies at a place of text."""
    return _int(text[begin]) + 256 * _int(text[begin + 1])


@compiled_short
def _entry_bytes(size: int) -> int:
    """Bytes that a key takes in text."""
    return (SIZE_BYTES + size + ALIGN - 1) // ALIGN * ALIGN


@compiled_short
def _home(code: np.uint32, places: int) -> int:
    """First place at which a hash is looked for."""
    return _int((np.uint64(code) * np.uint64(places)) >> np.uint64(32))


@compiled_short
def _next(place: int, places: int) -> int:
    """Return the place that is looked at after another."""
    return place + 1 if place + 1 < places else 0


@compiled_short
def _place(table: Numbers, code: np.uint32, slot: int) -> None:
    """Enter a slot; there is room."""
    place = _home(code, len(table))
    while table[place] >= 0:
        place = _next(place, len(table))
    table[place] = slot


@compiled_short
def _is_key(text: Bytes, begin: int, data: Bytes, first: int, end: int) -> bool:
    """Whether the key in text is data[first:end]."""
    if _size(text, begin) != end - first:
        return False
    for index in range(end - first):
        if text[begin + SIZE_BYTES + index] != data[first + index]:
            return False
    return True


@compiled_short
def _find(
    of: Table, data: Bytes, ends: Integers, hashes: npt.NDArray[np.uint32], found: Numbers
) -> None:
    first = 0
    for index in range(len(ends)):
        code, end = hashes[index], ends[index]
        place = _home(code, len(of.table))
        while of.table[place] >= 0:
            slot = of.table[place]
            if of.hashes[slot] == code and _is_key(
                of.text, _int(of.begins[slot]) * ALIGN, data, first, end
            ):
                found[index] = slot
                break
            place = _next(place, len(of.table))
        first = end


@compiled_short
def _remove(table: Numbers, hashes: npt.NDArray[np.uint32], slot: int) -> None:
    """Take a slot out, and move up those behind it that it held off their place."""
    places = len(table)
    gap = _home(hashes[slot], places)
    while table[gap] != slot:
        gap = _next(gap, places)
    place = gap
    while True:
        place = _next(place, places)
        follower = table[place]
        if follower < 0:
            break
        off = place - _home(hashes[follower], places)
        behind = place - gap
        if (off if off >= 0 else off + places) >= (behind if behind >= 0 else behind + places):
            table[gap] = follower
            gap = place
    table[gap] = -1


@compiled_short
def _change(
    of: Table,
    data: Bytes,
    ends: Integers,
    hashes: npt.NDArray[np.uint32],
    created: npt.NDArray[np.bool_],
    slots: Numbers,
    left: Integers,  # written: where in text the key lies that left
) -> int:
    """Do what `Slots.change` says; returns the index of a slot that had nobody, -1: none."""
    first = 0
    for index in range(len(slots)):
        slot, end = slots[index], ends[index]
        if created[index]:
            at = of.counts[1]
            of.text[at] = (end - first) % 256
            of.text[at + 1] = (end - first) // 256
            copy_bytes(of.text, at + SIZE_BYTES, data, first, end - first)
            of.hashes[slot] = hashes[index]
            of.begins[slot] = at // ALIGN
            of.counts[0] += 1
            of.counts[1] += _entry_bytes(end - first)
            _place(of.table, hashes[index], slot)
        elif slot >= 0:
            begin = _int(of.begins[slot]) * ALIGN
            if begin == 0:
                return index
            _remove(of.table, of.hashes, slot)
            left[index] = begin
            of.begins[slot] = 0
            of.counts[0] -= 1
            of.counts[2] += _entry_bytes(_size(of.text, begin))
        first = end
    return -1


@compiled
def _fill(table: Numbers, hashes: npt.NDArray[np.uint32], begins: Records) -> None:
    """Enter everybody into a new table."""
    for slot in range(len(begins)):
        if begins[slot]:
            _place(table, hashes[slot], slot)


@compiled
def _pack(out: Bytes, text: Bytes, begins: Records) -> int:
    """Copy the keys that are there to a new text; returns its bytes."""
    at = ALIGN
    for slot in range(len(begins)):
        if begins[slot]:
            begin = _int(begins[slot]) * ALIGN
            size = _entry_bytes(_size(text, begin))
            copy_bytes(out, at, text, begin, size)
            begins[slot] = at // ALIGN
            at += size
    return at
