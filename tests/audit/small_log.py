"""A small correct log of inputs and outputs, made by hand, in memory or on a broker (synthetic).

Partitions 0 and 1 of three topics; each event says what became of it. Offsets have holes, as
transaction markers leave them. A test edits `Lines` to seed a fault, then audits them.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from stream.audit.run import Names

PREFIX = "s-"
NAMES = Names(
    (PREFIX + "clicks", PREFIX + "searches", PREFIX + "purchases"),
    PREFIX + "intake-receipts",
    PREFIX + "predictions",
    PREFIX + "dead-letters",
)
CLICKS, SEARCHES, PURCHASES = NAMES.inputs


@dataclass
class Line:
    """A record; `time_ms` is its record time."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    time_ms: int = 0

    @property
    def note(self):
        return json.loads(self.value)

    def edit(self, **changes):
        self.value = json.dumps({**self.note, **changes}).encode()


# (topic, partition, offset, user, event id, outcome, first topic, first offset), in merged order.
EVENTS = [
    (CLICKS, 0, 0, "ann", "a0", "predicted"),
    (SEARCHES, 0, 0, "bob", "b0", "coalesced"),
    (CLICKS, 0, 1, "ann", "a1", "predicted"),
    (CLICKS, 0, 2, "ann", "a0", "duplicate", CLICKS, 0),
    (CLICKS, 0, 4, "bob", "bad", "dead_lettered"),
    (SEARCHES, 0, 1, "ann", "a1", "duplicate", CLICKS, 1),
    (PURCHASES, 0, 3, "ann", "a2", "predicted"),
    (CLICKS, 0, 5, "bob", "b1", "predicted"),
    (CLICKS, 0, 6, "ann", "forget", "control"),
    (CLICKS, 0, 7, "ann", "a3", "forgotten"),
    (CLICKS, 0, 9, "ann", "a4", "predicted"),  # a new epoch
    (CLICKS, 0, 10, "bob", "b2", "predicted"),
    (CLICKS, 1, 0, "cat", "c0", "predicted"),
    (CLICKS, 1, 1, "dan", "d0", "predicted"),
    (CLICKS, 1, 2, "cat", "c1", "predicted"),
    (PURCHASES, 1, 0, "cat", "c2", "dead_lettered"),
]
CUTS = ({5, 9}, {2})  # offsets of clicks at which a receipt of partition 0 and of 1 begins


class Lines:
    """The whole log, ready to be spoilt."""

    def __init__(self, events=EVENTS):
        self.inputs = []
        self.predictions = []
        self.dead_letters = []
        self.receipts = []
        self._offsets = defaultdict(int)
        self._seqs = {}
        seqs, user_seqs, epochs = defaultdict(int), defaultdict(int), {}
        for topic, number, offset, user, event_id, outcome, *_ in events:
            value = json.dumps({"event_id": event_id, "user_id": user}).encode()
            if event_id == "bad":
                value = b'{"event_id": "ba'
            self.inputs.append(Line(topic, number, offset, user.encode(), value))
            seqs[number] += 1
            if outcome == "control":
                epochs.pop(user, None)
            self._seqs[topic, number, offset] = seqs[number]
            if outcome in {"predicted", "coalesced"}:
                epoch = epochs.setdefault(user, seqs[number])
                user_seqs[user, epoch] += 1
            if outcome == "predicted":
                self._predict(topic, number, offset, user, epoch, user_seqs, seqs)
            if outcome == "dead_lettered":
                self._dead_letter(topic, number, offset, user, value)
        self._write_receipts(events)

    def _out(self, rows, name, number, key, value, headers=()):
        offset = self._offsets[name, number]
        self._offsets[name, number] += 1
        rows.append(Line(name, number, offset, key, value, list(headers)))

    def _predict(self, topic, number, offset, user, epoch, user_seqs, seqs):
        note = {
            "prediction_id": f"{topic}-{number}-{offset}",
            "user_id": user,
            "partition_seq": seqs[number],
            "user_seq": user_seqs[user, epoch],
            "user_epoch": epoch,
            "items": [],
            "input": {"topic": topic, "partition": number, "offset": offset, "event_time": 1},
        }
        key = user.encode()
        self._out(self.predictions, NAMES.predictions, number, key, json.dumps(note).encode())

    def _dead_letter(self, topic, number, offset, user, value):
        texts = {"reason": "undecodable", "topic": topic, "partition": number, "offset": offset}
        headers = [(name, str(text).encode()) for name, text in texts.items()]
        self._out(self.dead_letters, NAMES.dead_letters, number, user.encode(), value, headers)

    def _write_receipts(self, events):
        places = sorted({(topic, number) for topic, number, *_ in events})
        for topic, number in places:
            mine = [event for event in events if event[:2] == (topic, number)]
            cuts = CUTS[number] if topic == CLICKS else set()
            bounds = [0, *sorted(cuts), mine[-1][2] + 1]
            for first, after in pairwise(bounds):
                rows = [event for event in mine if first <= event[2] < after]
                exceptions = [_exception(topic, event) for event in rows if event[5] != "predicted"]
                note = {
                    "topic": topic,
                    "partition": number,
                    "offset_first": first,
                    "offset_next": after,
                    "predicted": len(rows) - len(exceptions),
                    "exceptions": exceptions,
                    "exception_seqs": [self._seqs[topic, number, row[0]] for row in exceptions],
                }
                key = f"{topic}-{number}".encode()
                self._out(self.receipts, NAMES.receipts, 0, key, json.dumps(note).encode())

    def prediction(self, topic, number, offset):
        wanted = f"{topic}-{number}-{offset}"
        return next(line for line in self.predictions if line.note["prediction_id"] == wanted)

    def receipt(self, topic, number, first):
        wanted = {"topic": topic, "partition": number, "offset_first": first}
        return next(line for line in self.receipts if wanted.items() <= line.note.items())

    def all(self):
        return [*self.inputs, *self.predictions, *self.dead_letters, *self.receipts]

    def log(self):
        return MemoryLog(self.all())


def _exception(topic, event):
    _, _, offset, _, _, outcome, *first = event
    if not first:
        return [offset, outcome]
    return (
        [offset, outcome, first[1]] if first[0] == topic else [offset, outcome, first[1], first[0]]
    )


class MemoryLog:
    """The audit's Log over a list of lines; two partitions each; starts at 0 unless said."""

    def __init__(self, lines, starts=None):
        self.lines = sorted(lines, key=lambda line: (line.topic, line.partition, line.offset))
        self.starts = starts or {}

    def ranges(self, topics, *, stable=True):
        return {
            (topic, number): (self.starts.get((topic, number), 0), self._end(topic, number))
            for topic in topics
            for number in (0, 1)
        }

    def offsets_at(self, topics, timestamp_ms):
        return {
            place: min(
                (
                    line.offset
                    for line in self.lines
                    if (line.topic, line.partition) == place and line.time_ms >= timestamp_ms
                ),
                default=-1,
            )
            for place in self.ranges(topics)
        }

    def records(self, ranges):
        for line in self.lines:
            first, end = ranges.get((line.topic, line.partition), (0, 0))
            if first <= line.offset < end:
                yield line

    def _end(self, topic, number):
        offsets = [x.offset for x in self.lines if (x.topic, x.partition) == (topic, number)]
        return max(offsets) + 2 if offsets else 0  # the last is followed by a marker
