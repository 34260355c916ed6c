"""A shop's log played by a real worker over fakes, as a log of topics to read again. Synthetic.

Offsets of the outputs have holes, as transaction markers leave them.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from confluent_kafka import Producer

from stream.audit.run import Names
from stream.core.layout import TOPICS
from stream.core.plan import Scorer
from stream.model.bundle import Bundle
from stream.served.log import names_of
from tests.flow.fakes import Rig
from tests.flow.logs import Log, shop_log
from tests.flow.test_worker import play
from tests.kafka_tools import create_topics

NAMES = Names(TOPICS, "receipts", "predictions", "dead-letters")
RECORD_MS = 2_000_000_000_000  # as tests.flow.fakes
HOLE = 7  # after so many records of an output, an offset holds none


@dataclass
class Entry:
    """A record of a log."""

    topic: str
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int = RECORD_MS
    partition: int = 0
    headers: Sequence[tuple[str, bytes]] = ()

    def edit(self, **changes: object) -> None:
        note = {**json.loads(self.value or b""), **changes}
        self.value = json.dumps(note, separators=(",", ":")).encode()


@dataclass
class PlayedLog:
    """stream.served.log.Log over lists."""

    entries: list[Entry]
    starts: dict[str, int] = field(default_factory=dict)  # topic -> first offset still there

    def copy(self) -> "PlayedLog":
        return PlayedLog([replace(entry) for entry in self.entries], dict(self.starts))

    def of(self, topic: str) -> list[Entry]:
        first = self.starts.get(topic, 0)
        return [x for x in self.entries if x.topic == topic and x.offset >= first]

    def ranges(
        self, topics: Sequence[str], *, stable: bool = True
    ) -> dict[tuple[str, int], tuple[int, int]]:
        del stable  # everything is committed
        return {(topic, 0): (self.starts.get(topic, 0), self._end(topic)) for topic in topics}

    def offsets_at(self, topics: Sequence[str], timestamp_ms: int) -> dict[tuple[str, int], int]:
        return {
            (topic, 0): min(
                (x.offset for x in self.of(topic) if x.timestamp_ms >= timestamp_ms), default=-1
            )
            for topic in topics
        }

    def records(self, ranges: Mapping[tuple[str, int], tuple[int, int]]) -> Iterator[Entry]:
        for (topic, _), (first, end) in ranges.items():
            yield from (x for x in self.of(topic) if first <= x.offset < end)

    def _end(self, topic: str) -> int:
        return max((x.offset + 1 for x in self.of(topic)), default=0)


def forgetting(log: Log, every: int) -> Log:
    """Let some clicks be the wish of their user to be forgotten."""

    def wish(number: int, value: bytes) -> bytes:
        if number % every != every - 1 or not value.endswith(b"}"):
            return value
        return re.sub(rb'"event_type": ?"[a-z_]+"', b'"event_type":"user_forget"', value)

    clicks = [(key, wish(number, value)) for number, (key, value) in enumerate(log[0])]
    return clicks, log[1], log[2]


def played(log: Log, rig: Rig) -> PlayedLog:
    """Lay out what went in and what came out."""
    entries = [
        Entry(TOPICS[topic], offset, key, value)
        for topic, records in enumerate(log)
        for offset, (key, value) in enumerate(records)
    ]
    for name in (NAMES.predictions, NAMES.receipts, NAMES.dead_letters):
        of_topic = [(k, v) for topic, _, k, v in rig.transaction.committed if topic == name]
        entries += [
            Entry(name, number + number // HOLE, key, value)
            for number, (key, value) in enumerate(of_topic)
        ]
    log = PlayedLog(entries)
    places = sorted(
        (seq, receipt["topic"], entry[0])
        for receipt in (json.loads(x.value or b"") for x in log.of(NAMES.receipts))
        for entry, seq in zip(receipt["exceptions"], receipt["exception_seqs"], strict=True)
        if entry[1] == "dead_lettered"
    )
    for letter, (_, topic, offset) in zip(log.of(NAMES.dead_letters), places, strict=True):
        where = (("topic", topic), ("partition", "0"), ("offset", str(offset)))
        letter.headers = [(name, text.encode()) for name, text in where]
    return log


async def play_shop(
    seed: int, events: int, scorer: Scorer | None = None, forget_every: int = 40, **changed: int
) -> PlayedLog:
    """Play a shop's first events, faults and forgetting included, in many small chunks."""
    log = forgetting(shop_log(seed, events), forget_every)
    return played(log, await play(log, 23, scorer, **{"batch_events_max": 19, **changed}))


def told_by(log: PlayedLog, bundle: Bundle) -> PlayedLog:
    """Put a bundle's version and item ids into the predictions; the rig has names of its own."""
    for entry in log.of(NAMES.predictions):
        note = json.loads(entry.value or b"")
        for item in note["items"]:
            item["item_id"] = bundle.vocabulary.item_ids[int(item["item_id"][1:]) + 1]
        entry.edit(model_version=bundle.version, items=note["items"])
    return log


def write_played(bootstrap: str, prefix: str, log: PlayedLog) -> None:
    """Put a log on a broker, its topics under a prefix, without the holes."""
    names = (*NAMES.inputs, NAMES.receipts, NAMES.predictions, NAMES.dead_letters)
    broker_names = dict(zip(names, _topics(prefix), strict=True))
    # The rig's record times lie far ahead, which a broker takes for a mistake.
    ahead = {"message.timestamp.after.max.ms": str(2**62)}
    create_topics(bootstrap, broker_names.values(), 1, ahead)
    inputs = [(b'"%b' % x.encode(), b'"%b%b' % (prefix.encode(), x.encode())) for x in TOPICS]
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
    for entry in log.entries:
        value = entry.value or b""
        headers = list(entry.headers)
        if entry.topic not in NAMES.inputs:
            for old, new in inputs:
                value = value.replace(old, new)
            headers = [(k, prefix.encode() + v if k == "topic" else v) for k, v in headers]
        producer.produce(
            broker_names[entry.topic], value, entry.key, 0,
            timestamp=entry.timestamp_ms, headers=headers,
        )  # fmt: skip
    assert producer.flush(30) == 0


def _topics(prefix: str) -> list[str]:
    names = names_of(prefix)
    return [*names.inputs, names.receipts, names.predictions, names.dead_letters]
