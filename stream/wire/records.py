"""Records of one topic partition as columns over one buffer: no object per record.

Rules of the room: offsets rise; a size of -1 is a null key or value. The buffer is read-only,
always: to a kernel a writable one is another type, compiled anew in the middle of work.
`read_batch` reads a plain batch of Kafka's record format 2 (kafka.apache.org/documentation/
#recordbatch) and stops at what does not add up: the checksum held, so a producer wrote it, and what
is left counts as unreadable.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import Bytes
from stream.wire.texts import Texts

Integers = npt.NDArray[np.int64]

HEADER_BYTES: Final = 61  # of a batch; the records lie behind
NULL: Final = -1
_ATTRIBUTES_AT: Final = 21
_FIRST_TIMESTAMP_AT: Final = 27
_MAX_TIMESTAMP_AT: Final = 35
_COUNT_AT: Final = 57
_APPEND_TIME_BIT: Final = 8
_VARINT_BYTES_MAX: Final = 10


class RecordColumns(NamedTuple):
    """n records, in offset order."""

    data: Bytes  # what the places below point into
    offsets: Integers  # (n,)
    timestamps_ms: Integers  # (n,)
    places: Integers  # (n, 4) first byte and size of the key, first byte and size of the value

    def key(self, row: int) -> bytes | None:
        """Copy a key out."""
        return self._bytes(row, 0)

    def value(self, row: int) -> bytes | None:
        """Copy a value out."""
        return self._bytes(row, 2)

    def keys(self) -> Texts:
        """Name all keys, where they lie."""
        return self._column(0)

    def keys_of(self, rows: Integers) -> list[bytes]:
        """Copy the keys of some rows out, 0.4 us each; a null key is empty."""
        view = self.data.data
        return [
            bytes(view[first : first + size]) if size > 0 else b""
            for first, size in self.places[rows, :2].tolist()
        ]

    def values(self) -> Texts:
        """Name all values, where they lie."""
        return self._column(2)

    def _bytes(self, row: int, column: int) -> bytes | None:
        first, size = self.places[row, column : column + 2].tolist()
        return None if size == NULL else self.data[first : first + size].tobytes()

    def _column(self, column: int) -> Texts:
        begins = self.places[:, column]
        return Texts(self.data, begins, begins + self.places[:, column + 1])

    def since(self, offset: int) -> "RecordColumns":
        """Leave out what lies below an offset."""
        row = int(np.searchsorted(self.offsets, offset))
        if row == 0:
            return self
        return RecordColumns(
            self.data, self.offsets[row:], self.timestamps_ms[row:], self.places[row:]
        )


def columns_of(
    offsets: Sequence[int],
    timestamps_ms: Sequence[int],
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
) -> RecordColumns:
    """Lay records out that are objects already. Raises ValueError on columns of unlike length."""
    count = len(offsets)
    if not count == len(timestamps_ms) == len(keys) == len(values):
        raise ValueError(
            f"{count} offsets, {len(timestamps_ms)} timestamps, {len(keys)} keys,"
            f" {len(values)} values"
        )
    texts = list(chain.from_iterable(zip(keys, values, strict=True)))
    sizes = np.array([NULL if text is None else len(text) for text in texts], np.int64)
    lengths = np.maximum(sizes, 0)
    first = np.cumsum(lengths) - lengths
    places = np.stack([first, sizes], axis=1).reshape(count, 4)
    data = np.frombuffer(b"".join(text for text in texts if text is not None), np.uint8)
    return RecordColumns(
        data, np.array(offsets, np.int64), np.array(timestamps_ms, np.int64), places
    )


def unreadable(offset_first: int, offset_next: int, timestamp_ms: int) -> RecordColumns:
    """Make records without key and value: one per offset."""
    offsets = np.arange(offset_first, offset_next, dtype=np.int64)
    places = np.zeros((len(offsets), 4), np.int64)
    places[:, 1::2] = NULL
    return RecordColumns(
        np.frombuffer(b"", np.uint8), offsets, np.full(len(offsets), timestamp_ms, np.int64), places
    )


def joined(parts: Sequence[RecordColumns]) -> RecordColumns:
    """Join columns in their order; the bytes are copied. No part: no records."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return unreadable(0, 0, 0)
    starts = np.cumsum([0, *(len(part.data) for part in parts[:-1])])
    places = np.concatenate([part.places for part in parts])
    moved = np.repeat(starts, [len(part.offsets) for part in parts])
    places[:, 0] += moved
    places[:, 2] += moved
    data = np.concatenate([part.data for part in parts])
    data.flags.writeable = False
    return RecordColumns(
        data,
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.timestamps_ms for part in parts]),
        places,
    )


def read_batch(
    plain: bytes | memoryview,
    base_offset: int,
    next_offset: int,
    offset_first: int | None = None,
    offset_stop: int | None = None,
) -> RecordColumns:
    """Read a plain batch, 0.02 us a record. Records that cannot be read have no key and value.

    With `offset_first` and `offset_stop` it is read in part: nothing below the one, nothing from
    the other on.
    """
    first = base_offset if offset_first is None else max(base_offset, offset_first)
    stop = next_offset if offset_stop is None else min(next_offset, offset_stop)
    data = np.frombuffer(plain, np.uint8)
    count = int.from_bytes(plain[_COUNT_AT : _COUNT_AT + 4], "big", signed=True)
    count = max(0, min(count, len(plain) - HEADER_BYTES))
    rows_max = max(0, min(count, stop - first))
    offsets, timestamps_ms = np.empty(rows_max, np.int64), np.empty(rows_max, np.int64)
    places = np.empty((rows_max, 4), np.int64)
    attributes = int.from_bytes(plain[_ATTRIBUTES_AT : _ATTRIBUTES_AT + 2], "big")
    # Signed: -1 is Kafka's "no time", and to the kernel a larger number would be another type.
    first_ms, max_ms = (
        int.from_bytes(plain[at : at + 8], "big", signed=True)
        for at in (_FIRST_TIMESTAMP_AT, _MAX_TIMESTAMP_AT)
    )
    bounds = (base_offset, next_offset, first, stop)
    scratch = np.empty(6, np.int64)
    rows, left = _read(data, count, first_ms, bounds, offsets, timestamps_ms, places, scratch)
    if attributes & _APPEND_TIME_BIT:
        timestamps_ms[:] = max_ms
    columns = RecordColumns(data, offsets[:rows], timestamps_ms[:rows], places[:rows])
    left = max(left, first)
    return columns if left >= stop else joined([columns, unreadable(left, stop, max_ms)])


@compiled
def _read(
    data: Bytes,
    count: int,
    first_ms: int,
    bounds: tuple[int, int, int, int],  # offsets: base and next of the batch, first and stop
    offsets: Integers,
    timestamps_ms: Integers,
    places: Integers,
    scratch: Integers,  # (6,)
) -> tuple[int, int]:
    """Return how many records were kept, and the offset from which they could not be read."""
    base_offset, next_offset, first, stop = bounds
    at = 61
    cell = scratch[:2]  # a varint's value, and the place behind it
    place = scratch[2:]
    before = base_offset - 1
    rows = 0
    for _ in range(count):
        if not _varint(data, at, cell):
            return rows, before + 1
        at = cell[1]
        # Compared before it is added: the sum of a hostile length would wrap round.
        if cell[0] < 1 or cell[0] > len(data) - at:
            return rows, before + 1
        end = at + cell[0]
        if not _varint(data, at + 1, cell):  # one byte of attributes, unused
            return rows, before + 1
        time_ms = first_ms + cell[0]
        if not _varint(data, cell[1], cell):
            return rows, before + 1
        offset = base_offset + cell[0]
        if offset <= before or offset >= next_offset:
            return rows, before + 1
        for column in range(0, 4, 2):
            if not _varint(data, cell[1], cell) or cell[1] > end or cell[0] > end - cell[1]:
                return rows, before + 1
            place[column] = cell[1]
            place[column + 1] = max(cell[0], -1)
            cell[1] += max(cell[0], 0)
        if not _skip_headers(data, end, cell) or cell[1] != end:
            return rows, before + 1
        if offset >= stop:
            break
        if offset >= first:
            offsets[rows] = offset
            timestamps_ms[rows] = time_ms
            for column in range(4):
                places[rows, column] = place[column]
            rows += 1
        before = offset
        at = end
    return rows, next_offset


@compiled
def _skip_headers(data: Bytes, end: int, cell: Integers) -> bool:
    if not _varint(data, cell[1], cell) or cell[0] < 0:
        return False
    if cell[0] > len(data):
        return False
    for _ in range(2 * cell[0]):
        if not _varint(data, cell[1], cell) or cell[1] > end or cell[0] > end - cell[1]:
            return False
        cell[1] += max(cell[0], 0)
    return True


@compiled
def _varint(data: Bytes, at: int, cell: Integers) -> bool:
    """Read a zigzag varint at a place: cell[0] its value, cell[1] the place behind it."""
    raw = np.uint64(0)
    for index in range(10):
        if at >= len(data):
            return False
        byte = np.uint64(data[at])
        at += 1
        raw |= (byte & np.uint64(0x7F)) << np.uint64(7 * index)
        if byte < 128:
            cell[0] = np.int64(raw >> np.uint64(1)) ^ -np.int64(raw & np.uint64(1))
            cell[1] = at
            return True
    return False
