"""What the audit has read, kept lean: int64 columns per topic partition of the input."""

from array import array
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from stream.audit.decode import DUPLICATE, Place, Prediction, Receipt

Int64s = npt.NDArray[np.int64]
NOWHERE = 2**62  # above every offset


class Table:
    """Rows of int64, appended one by one and read as an array."""

    def __init__(self, columns: int) -> None:
        """Start empty."""
        self._cells = array("q")
        self._columns = columns

    def add(self, *row: int) -> None:
        """Append a row."""
        self._cells.extend(row)

    def rows(self) -> Int64s:
        """View what was appended.  # (n, columns) int64."""
        return np.frombuffer(self._cells, dtype=np.int64).reshape(-1, self._columns)


class Intake:
    """The events of one input topic partition, in offset order, from `start` to `end`."""

    def __init__(self, start: int, end: int, wanted: Int64s) -> None:
        """Expect events; `wanted` are the offsets whose event ids a duplicate needs."""
        self.start = start
        self.end = end
        self._events = Table(2)
        self._wanted = np.unique(wanted)  # (w,) sorted
        self._ids = np.zeros(len(self._wanted), np.int64)  # (w,) hash of the event id; 0: not read
        self._at = 0
        self.wanted_next = self._pass(start)

    def add(self, offset: int, key: bytes | None) -> None:
        """Note one event."""
        self._events.add(offset, 0 if key is None else hash(key))

    def add_id(self, offset: int, event_id: int) -> None:
        """Note the id of an event at or past `wanted_next`."""
        if self._pass(offset) == offset:
            self._ids[self._at] = event_id
        self.wanted_next = self._pass(offset + 1)

    def _pass(self, offset: int) -> int:
        """Step over wanted offsets below; returns the next wanted one."""
        while self._at < len(self._wanted) and self._wanted[self._at] < offset:
            self._at += 1
        return int(self._wanted[self._at]) if self._at < len(self._wanted) else NOWHERE

    @property
    def offsets(self) -> Int64s:
        """Offsets of the events.  # (n,) int64, ascending."""
        return self._events.rows()[:, 0]

    @property
    def keys(self) -> Int64s:
        """Hashes of the keys.  # (n,) int64; 0: no key."""
        return self._events.rows()[:, 1]

    def ids_of(self, offsets: Int64s) -> Int64s:
        """Event-id hashes of wanted offsets.  # (k,) int64; 0: not read."""
        return self._ids[np.searchsorted(self._wanted, offsets)]


class Books:
    """Receipts, events, predictions and dead letters, by the input's topic partition."""

    def __init__(self, topics: tuple[str, ...]) -> None:
        """Start empty. Topics are the inputs; their index stands for them in a row."""
        self.topics = topics
        self.intake: dict[Place, Intake] = {}
        self.next_late: dict[Place, int] = {}  # highest offset_next of receipts read at the end
        self._receipts: dict[Place, Table] = defaultdict(lambda: Table(4))
        self._exempt: dict[Place, Table] = defaultdict(lambda: Table(7))
        self._predictions: dict[Place, Table] = defaultdict(lambda: Table(6))
        self._dead: dict[Place, Table] = defaultdict(lambda: Table(1))

    def add_receipt(self, receipt: Receipt) -> None:
        """Note a receipt. Raises ValueError if a duplicate's first is in no input topic."""
        codes = [
            self.topics.index(exempt.first_topic) if exempt.outcome == DUPLICATE else -1
            for exempt in receipt.exempt
        ]
        self._receipts[receipt.place].add(
            receipt.offset_first, receipt.offset_next, receipt.predicted, len(receipt.exempt)
        )
        table = self._exempt[receipt.place]
        for code, exempt in zip(codes, receipt.exempt, strict=True):
            table.add(
                exempt.offset, exempt.outcome, code, exempt.first_offset, *receipt[1:3], exempt.seq
            )

    def add_prediction(self, prediction: Prediction, key: bytes | None, partition: int) -> None:
        """Note a prediction: what it says, its record's key and the partition that it lies in."""
        same = key is not None and hash(key) == prediction.user
        self._predictions[prediction.place].add(
            prediction.offset,
            prediction.user if same else -1,  # hash() never gives -1: it matches no event
            prediction.user_seq,
            prediction.user_epoch,
            prediction.partition_seq,
            partition,
        )

    def add_dead_letter(self, place: Place, offset: int) -> None:
        """Note a dead letter."""
        self._dead[place].add(offset)

    def receipts(self, place: Place) -> Int64s:
        """Receipts as written.  # (r, 4) offset_first, offset_next, predicted, exceptions."""
        return self._receipts[place].rows()

    def exempt(self, place: Place) -> Int64s:
        """Exceptions.  # (x, 7) offset, outcome, first topic, offset; receipt's range; seq."""
        return self._exempt[place].rows()

    def predictions(self, place: Place) -> Int64s:
        """Predictions.  # (p, 6) offset, user, user_seq, user_epoch, partition_seq, partition."""
        return self._predictions[place].rows()

    def dead_letters(self, place: Place) -> Int64s:
        """Offsets of dead letters.  # (d,) int64."""
        return self._dead[place].rows()[:, 0]

    def places_named(self) -> set[Place]:
        """Topic partitions that receipts, predictions or dead letters speak of."""
        return {*self._receipts, *self._predictions, *self._dead}

    def wanted_ids(self) -> dict[Place, Int64s]:
        """Offsets whose event ids are needed: duplicates and their firsts."""
        parts: dict[Place, list[Int64s]] = defaultdict(list)
        for place in list(self._exempt):
            rows = self.exempt(place)
            rows = rows[rows[:, 1] == DUPLICATE]
            parts[place].append(rows[:, 0])
            for code, topic in enumerate(self.topics):
                parts[topic, place[1]].append(rows[rows[:, 2] == code, 3])
        return {place: np.concatenate(offsets) for place, offsets in parts.items()}
