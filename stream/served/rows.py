"""Rows as the worker applied them: decoded, in order of partition_seq, ready for an engine."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stream.audit.run import Names
from stream.core.layout import EVENT, TOPICS, Records
from stream.core.results import Batch
from stream.served.log import Log, Record, ServedError
from stream.served.order import Order
from stream.wire.decode import Decoded, Decoder

ROWS_MAX = 8192  # as many as an Engine takes


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
    """Read the input records of rows, by topic, in offset order. Raises ServedError."""
    ranges = {}
    for topic, name in enumerate(names.inputs):
        offsets = rows["offset"][rows["topic"] == topic]
        if len(offsets):
            ranges[name, partition] = (int(offsets[0]), int(offsets[-1]) + 1)
    records: dict[str, list[Record]] = {name: [] for name in names.inputs}
    for record in log.records(ranges):
        records[record.topic].append(record)
    for topic, name in enumerate(names.inputs):
        wanted = rows["offset"][rows["topic"] == topic].tolist()
        found = [record.offset for record in records[name]]
        if found != wanted:
            gone = min(set(wanted) ^ set(found))
            raise ServedError(
                f"{name}-{partition}-{gone}: "
                + ("served, and gone from the log" if gone in wanted else "in no receipt")
            )
    return list(records.values())


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
        offsets,
        [record.timestamp_ms for record in records],
        [record.key for record in records],
        [record.value for record in records],
    )
