"""Topics as a log: committed records of the three input topics, one engine a partition number.

Rules of the room: it reads and commits nothing. The end is fixed before the first record is read.
Order is by event time, or *as served*: each partition's rows in the order in which its worker
applied them (stream.served), those that no commit covers left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from export.dataset.event_log import EventLog
from export.dataset.merge_log import (
    ADD_RECORDS_MAX,
    Integers,
    LogMerger,
    Order,
    merge_order,
    without_keys,
)
from export.dataset.names import Names
from stream.core.forgotten import Forgotten
from stream.core.layout import TOPICS, Records
from stream.served.log import Log, Record, names_of
from stream.served.order import read_order
from stream.wire.decode import Decoder
from stream.wire.topics import ERASURES

Place = tuple[str, int]  # topic, partition

MERGED: Final = "merged"
SERVED: Final = "served"


@dataclass(frozen=True, slots=True)
class TopicSource:
    """Which records of a broker. Times are of the records, not of the events."""

    topic_prefix: str = ""
    since_ms: int | None = None
    until_ms: int | None = None  # not included
    offsets: dict[Place, tuple[int, int]] | None = None  # first and next, of some partitions
    as_served: bool = False
    event_bytes_max: int = 1 << 20  # limits of the deployment's decoder
    skew_ms_max: int = 86_400_000
    hash_key: bytes = b""  # of the deployment's erasure receipts; empty: they are not read


def topic_log(
    log: Log, source: TopicSource, names: Names, forgotten: Sequence[bytes] = ()
) -> tuple[EventLog, dict[str, Any]]:
    """Read topics; also gives what the manifest says of them.

    Raises ServedError, ValueError on ranges that are none, and what the reader raises.
    """
    topics = names_of(source.topic_prefix)
    ranges = topic_ranges(log, topics.inputs, source)
    partitions = 1 + max(number for _, number in ranges)
    if not any(first < end for first, end in ranges.values()):
        raise ValueError(f"no records in {', '.join(topics.inputs)} in the asked range")
    order: Order = merge_order
    seq_first: dict[int, int] = {}
    if source.as_served:
        found = [read_order(log, topics, number) for number in range(partitions)]
        seq_first = {one.partition: one.seq_first for one in found}

        def order(partition: int, events: Records) -> Integers:
            return served_order(found[partition].rows, events)

    decoder = Decoder(partitions, source.event_bytes_max, source.skew_ms_max)
    merger = LogMerger(decoder, partitions, names)
    _read(log, ranges, topics.inputs, merger)
    described = {
        "kind": "topics",
        "order": SERVED if source.as_served else MERGED,
        "offsets": {f"{topic}-{number}": span for (topic, number), span in sorted(ranges.items())},
        "since_ms": source.since_ms,
        "until_ms": source.until_ms,
        # Above 1: what was applied before is gone from the logs, and so from the users' state.
        "partition_seq_first": seq_first,
    }
    made = merger.merged(forgotten=forgotten, order=order)
    return without_keys(made, _erased(log, source, made.users)), described


def _erased(log: Log, source: TopicSource, users: Sequence[bytes]) -> list[bytes]:
    """Name the users who have a receipt: their request may be older than the inputs that are kept.

    1 us a user.
    """
    if not source.hash_key:
        return []
    ranges = log.ranges([source.topic_prefix + ERASURES])
    hashes = {record.key for record in log.records(ranges)}
    name_of = Forgotten(source.hash_key, 1, 0).hash
    return [key for key in users if name_of(key).hex().encode() in hashes] if hashes else []


def topic_ranges(
    log: Log, inputs: Sequence[str], source: TopicSource
) -> dict[Place, tuple[int, int]]:
    """First and next offset of each partition to read. Raises ValueError."""
    ranges = dict(log.ranges(inputs))
    since = {} if source.since_ms is None else log.offsets_at(inputs, source.since_ms)
    until = {} if source.until_ms is None else log.offsets_at(inputs, source.until_ms)
    for place, (first, end) in list(ranges.items()):
        low, high = since.get(place, first), until.get(place, end)
        # -1: no record is that young
        ranges[place] = (end if low < 0 else max(first, low), end if high < 0 else min(end, high))
    for place, (first, end) in (source.offsets or {}).items():
        if place not in ranges:
            raise ValueError(f"no partition {place[0]}-{place[1]} on the broker")
        low, high = ranges[place]
        if not low <= first < end <= high:
            raise ValueError(
                f"offsets {first}:{end} of {place[0]}-{place[1]}: the topic holds {low}:{high}"
            )
        ranges[place] = (first, end)
    return ranges


def served_order(rows: Records, events: Records) -> Integers:
    """Places of served rows among events that lie topic after topic, each in offset order."""
    starts = np.searchsorted(events["topic"], np.arange(len(TOPICS) + 1))
    places = np.full(len(rows), -1)
    for topic in range(len(TOPICS)):
        low, high = int(starts[topic]), int(starts[topic + 1])
        offsets = events["offset"][low:high]
        mine = np.flatnonzero(rows["topic"] == topic)
        if not len(offsets):
            continue
        at = np.minimum(np.searchsorted(offsets, rows["offset"][mine]), len(offsets) - 1)
        there = offsets[at] == rows["offset"][mine]
        places[mine[there]] = low + at[there]
    return places[places >= 0]


def _read(
    log: Log, ranges: dict[Place, tuple[int, int]], inputs: Sequence[str], merger: LogMerger
) -> None:
    codes = {name: code for code, name in enumerate(inputs)}
    held: dict[Place, list[Record]] = {place: [] for place in ranges}

    def hand_over(place: Place) -> None:
        rows = held[place]
        merger.add(
            codes[place[0]],
            place[1],
            [row.offset for row in rows],
            [row.timestamp_ms for row in rows],
            [row.key for row in rows],
            [row.value for row in rows],
        )
        held[place] = []

    for record in log.records(ranges):
        place = (record.topic, record.partition)
        held[place].append(record)
        if len(held[place]) == ADD_RECORDS_MAX:
            hand_over(place)
    for place in ranges:
        hand_over(place)
