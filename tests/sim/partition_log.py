"""One topic partition: records and markers at offsets, open transactions, compaction.

Markers take an offset each. Compaction leaves holes; what is not yet stable it does not touch.
"""

from bisect import bisect_left
from dataclasses import dataclass

PLAIN, OPEN, COMMITTED, ABORTED, MARKER = range(5)
READABLE = (PLAIN, COMMITTED)
Headers = list[tuple[str, bytes]]


@dataclass(slots=True)
class Entry:
    """A record, or the marker of a transaction's end."""

    offset: int
    state: int
    producer: int  # -1: not in a transaction
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class PartitionLog:
    """Offsets rise without a gap as written; `first` is where retention has left it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.first = 0
        self.end = 0
        self._open: dict[int, int] = {}  # producer -> first offset of its transaction here

    @property
    def stable_end(self) -> int:
        """The last stable offset: the first one of an open transaction, else the end."""
        return min(self._open.values(), default=self.end)

    def append(
        self,
        producer: int,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> int:
        """Write a record, in the producer's transaction unless it is -1; returns its offset."""
        offset = self.end
        state = PLAIN
        if producer >= 0:
            state = OPEN
            self._open.setdefault(producer, offset)
        self.entries.append(Entry(offset, state, producer, timestamp_ms, key, value, headers))
        self.end += 1
        return offset

    def mark(self, producer: int, *, commit: bool) -> None:
        """End a producer's transaction here."""
        first = self._open.pop(producer, self.end)
        state = COMMITTED if commit else ABORTED
        for entry in self.entries[self._index(first) :]:
            if entry.producer == producer and entry.state == OPEN:
                entry.state = state
        self.entries.append(Entry(self.end, MARKER, producer, 0, None, None, []))
        self.end += 1

    def read(self, at: int, records_max: int) -> tuple[list[Entry], int]:
        """Read committed records; also gives the offset to go on from."""
        stable_end = self.stable_end
        found: list[Entry] = []
        for entry in self.entries[self._index(at) :]:
            if entry.offset >= stable_end:
                break
            if entry.state in READABLE:
                if len(found) == records_max:
                    return found, entry.offset
                found.append(entry)
        return found, max(at, stable_end)

    def compact(self, until: int, *, tombstones: bool) -> None:
        """Below an offset, keep each key's last record; markers and, if asked, tombstones go."""
        until = min(until, self.stable_end)
        last = {entry.key: entry.offset for entry in self.entries if entry.state in READABLE}
        self.entries = [
            entry
            for entry in self.entries
            if entry.offset >= until
            or (
                entry.state in READABLE
                and last[entry.key] == entry.offset
                and not (tombstones and entry.value is None)
            )
        ]

    def _index(self, offset: int) -> int:
        if len(self.entries) == self.end:  # nothing was compacted away
            return max(0, min(offset, self.end))
        return bisect_left(self.entries, offset, key=lambda entry: entry.offset)
