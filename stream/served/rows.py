"""Rows as the worker applied them: decoded, in order of partition_seq, ready for an engine."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import numpy as np

from stream.audit.books import Int64s
from stream.audit.run import Names
from stream.core.layout import EVENT, TOPICS, Records
from stream.core.results import Batch
from stream.served.log import Log, Record, ServedError
from stream.served.order import Order
from stream.wire.decode import Decoded, Decoder
from stream.wire.records import columns_of

ROWS_MAX: Final = 8192  # as many as an Engine takes
STRETCH_GAP: Final = 2_000  # reading on over so many records costs less than a new start


@dataclass(frozen=True, slots=True)
class ServedBatch:
    """Rows in the order of their application, with what became of each.

    Whatever was refused, duplicate or forgotten is among them: an engine that is given all
    batches of a partition from partition_seq 1 comes to the same outcomes, ids and windows. Where
    `Order.cut`, it starts from nothing in the middle, so give it `batch` of predicted and control
    rows only, or take `rows["outcome"]` for what was decided with rows that are gone.
    """

    batch: Batch
    rows: Records  # (n,) SERVED, parallel to batch.events
    seq_first: int  # partition_seq of the first row


def served_batches(
    log: Log,
    names: Names,
    order: Order,
    decoder: Decoder,
    rows_max: int = ROWS_MAX,
) -> Iterator[ServedBatch]:
    """Read and decode a partition's rows, `rows_max` at a time. Raises ServedError.

    The decoder must be one of the deployment: its number of partitions, its limits.
    """
    for first in range(0, len(order.rows), rows_max):
        rows = order.rows[first : first + rows_max]
        records = read_rows(log, names, order.partition, rows)
        batch = decoded_batch(decoder, order.partition, rows, records)
        yield ServedBatch(batch, rows, order.seq_first + first)


def read_rows(log: Log, names: Names, partition: int, rows: Records) -> list[list[Record]]:
    """Read the input records of rows, by topic, in offset order. Raises ServedError.

    Rows far apart in a topic are read in stretches, a stretch of each topic at a time.
    """
    wanted = [rows["offset"][rows["topic"] == topic] for topic in range(len(TOPICS))]
    stretches = [_stretches(offsets) for offsets in wanted]
    records: dict[str, list[Record]] = {name: [] for name in names.inputs}
    for some in zip_longest(*stretches):
        ranges = {
            (name, partition): range_
            for name, range_ in zip(names.inputs, some, strict=True)
            if range_ is not None
        }
        for record in log.records(ranges):
            records[record.topic].append(record)
    return [
        _chosen(log, name, partition, offsets.tolist(), records[name])
        for name, offsets in zip(names.inputs, wanted, strict=True)
    ]


def read_predictions(log: Log, names: Names, partition: int, rows: Records) -> list[Record]:
    """Read the predictions of rows, in the rows' order. Raises ServedError."""
    offsets = rows["prediction"][rows["prediction"] >= 0]
    if not len(offsets):
        return []
    range_ = (int(offsets.min()), int(offsets.max()) + 1)
    records = list(log.records({(names.predictions, partition): range_}))
    return _chosen(log, names.predictions, partition, offsets.tolist(), records)


def _stretches(offsets: Int64s) -> list[tuple[int, int]]:
    """Ranges that hold the offsets, parted where it is cheaper to seek than to read on."""
    if not len(offsets):
        return []
    cuts = np.flatnonzero(np.diff(offsets) > STRETCH_GAP)
    firsts = [0, *(cuts + 1).tolist()]
    lasts = [*cuts.tolist(), len(offsets) - 1]
    return [(int(offsets[a]), int(offsets[b]) + 1) for a, b in zip(firsts, lasts, strict=True)]


def _chosen(
    log: Log, name: str, partition: int, offsets: list[int], records: list[Record]
) -> list[Record]:
    there = {record.offset: record for record in records}
    try:
        return [there[offset] for offset in offsets]
    except KeyError as error:
        first = log.ranges([name])[name, partition][0]
        gone = int(error.args[0])
        raise ServedError(
            f"{name}-{partition}-{gone} is gone"
            + (
                f": retention has cut the log, which begins at offset {first}"
                if gone < first
                else ", though a commit covers it"
            )
        ) from error


def decoded_batch(
    decoder: Decoder, partition: int, rows: Records, records: list[list[Record]]
) -> Batch:
    """Decode the records of rows, by topic, and lay them out in the order of the rows."""
    events = np.empty(len(rows), EVENT)
    steps = []
    steps_count = 0
    numbers: dict[bytes, int] = {}
    for topic in range(len(TOPICS)):
        part = _decode(decoder, topic, partition, records[topic])
        local = [numbers.setdefault(key, len(numbers)) for key in part.users]
        part.events["user"] = np.array([*local, -1], np.int32)[part.events["user"]]  # -1 stays
        part.events["step_first"] += steps_count
        steps.append(part.steps)
        steps_count += len(part.steps)
        events[rows["topic"] == topic] = part.events
    return Batch(events, np.concatenate(steps), list(numbers))


def _decode(decoder: Decoder, topic: int, partition: int, records: list[Record]) -> Decoded:
    offsets = [record.offset for record in records]
    return decoder.decode(
        topic,
        partition,
        offsets[0] if offsets else 0,
        offsets[-1] + 1 if offsets else 0,
        columns_of(
            offsets,
            [record.timestamp_ms for record in records],
            [record.key for record in records],
            [record.value for record in records],
        ),
    )
