"""Run every compiled function and graph once before the first event, on events of its own.

What is compiled is kept on disk, but a first start, or one of other sources, compiles: half a
minute, which no batch deadline allows for. So the worker does it before it joins the group. The
rows go through the same steps as real ones; nothing is published, and engine and pool are dropped.
"""

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from stream.core.config import DAY_MS, HOUR_MS, EngineConfig
from stream.core.engine import Engine
from stream.core.layout import EVENT_TYPES
from stream.core.plan import Scorer
from stream.flow.buffer import TopicBuffer
from stream.flow.effects import Effects
from stream.flow.order import Order
from stream.flow.partition import Partition
from stream.flow.restore import Engines
from stream.wire.decode import Decoder
from stream.wire.limits import NESTING_MAX
from stream.wire.murmur2 import partition_of
from stream.wire.records import HEADER_BYTES, RecordColumns, columns_of, read_batch
from stream.wire.state import HEADER_KEY

NUMBER: Final = 0  # partition number that is borrowed; its pool is closed again
ROWS_MAX: Final = 256
EVENTS_COUNT: Final = 80  # more than a window holds, and days of time between them
TIME_MS: Final = 1_700_000_000_000


@dataclass(slots=True)
class Made:
    """stream.flow.ports.Chunk over columns that were made here."""

    topic: str
    columns: RecordColumns
    offset_next: int
    records_count_max: int
    partition: int = NUMBER
    offset_first: int = 0
    end_offset: int = 0
    generation: int = 0
    bytes_count: int = 0
    plain_bytes_count: int = 0
    timestamp_ms_max: int = TIME_MS
    received_ms: int = 0
    caught_up: bool = True

    def records(self) -> RecordColumns:
        """Give the columns."""
        return self.columns


def warm_up(
    config: EngineConfig,
    partitions: int,
    inputs: Sequence[str],
    decoder: Decoder,
    scorer: Scorer,
    effects: Effects,
) -> float:
    """Put made-up rows through every step. Returns the seconds that it took.

    To be called before any partition is assigned: the scorer's pool of one is opened and closed.
    """
    began = time.monotonic()
    read_batch(bytes(HEADER_BYTES), 0, 0)
    buffers = [TopicBuffer(topic, name, NUMBER, 0) for topic, name in enumerate(inputs)]
    for topic, buffer in enumerate(buffers):
        columns = _columns(topic, partitions)
        count = len(columns.offsets)
        buffer.append(Made(buffer.name, columns, count, count))
    # So that a user is dropped by a sweep.
    config = replace(config, user_ttl_ms=10 * HOUR_MS, source_gap_ms_max=HOUR_MS, bucket_ms=HOUR_MS)
    engine = Engine(config, NUMBER, ROWS_MAX)
    scorer.open(NUMBER, config.hidden_users_max)
    with ThreadPoolExecutor(1) as pool:
        order = Order(decoder, pool, 0, 0, config.future_ms_max)
        partition = Partition(engine, buffers, order, {}, ROWS_MAX)
        try:
            _apply_all(partition, scorer, effects)
            rows = engine.pool_rows(engine.state.pool_owner >= 0)
            scorer.score(NUMBER, engine.plan_rebuilds(rows, config.refresh_steps))
        finally:
            scorer.close(NUMBER)
    effects.receipts(NUMBER, partition.receipts.take(partition.offset_next))
    output, _, header = effects.state(partition)
    engines = Engines(config, partitions, ROWS_MAX)
    keys, values = [*output.keys, HEADER_KEY], [*output.values, header]
    zeros = [0] * len(keys)
    records = columns_of(zeros, zeros, keys, values)
    engines.restore(NUMBER, records.keys(), records.values())  # laid out as in a chunk
    engines.activate(NUMBER)
    return time.monotonic() - began


def _apply_all(partition: Partition, scorer: Scorer, effects: Effects) -> None:
    """Take, apply, score, settle and encode until nothing is left, as the worker does."""
    while (taken := partition.take(ROWS_MAX, TIME_MS)) is not None:
        applied = partition.apply(taken, TIME_MS)
        scores = scorer.score(NUMBER, applied.plan)
        settled = partition.engine.settle(applied, scores)
        partition.note_settled(taken, settled, TIME_MS)
        effects.of_rows(partition, taken, settled, TIME_MS)


def _columns(topic: int, partitions: int) -> RecordColumns:
    """Make the records of a topic: two users, good events, a repeat, a late one, broken ones."""
    users = [user for user, _ in zip(_users(partitions), range(2), strict=False)]
    keys: list[bytes | None] = []
    values: list[bytes | None] = []
    for number in range(EVENTS_COUNT):
        user = users[number % 2 if number < EVENTS_COUNT // 2 else 0]  # the other one falls silent
        time_ms = TIME_MS - 30 * DAY_MS + number * 6 * HOUR_MS
        if number == EVENTS_COUNT - 3:
            time_ms -= HOUR_MS  # late
        again = number == EVENTS_COUNT - 2
        event = _event(topic, number - 2 if again else number, user, time_ms)
        if number == EVENTS_COUNT - 4:
            stamp = np.datetime64(time_ms, "ms").astype(str)
            event |= {"event_time": f"{stamp}Z", "sent_at": time_ms, "received_at": time_ms}
        if number == EVENTS_COUNT - 5:
            event = {"event_type": "user_forget", "event_id": "f", "user_id": user}
            event["event_time"] = time_ms
        keys.append(user.encode())
        values.append(json.dumps(event).encode())
    keys += [None, None]
    values += [b"{", b"[" * (NESTING_MAX + 1)]
    offsets = list(range(len(keys)))
    return columns_of(offsets, [TIME_MS] * len(keys), keys, values)


def _event(topic: int, number: int, user: str, time_ms: int) -> dict[str, object]:
    event: dict[str, object] = {
        "event_id": f"warm-{topic}-{number}",
        "event_type": EVENT_TYPES[topic],
        "event_time": time_ms,
        "user_id": user,
        "device": "mobile",
    }
    item = {"item_id": f"p{number:05d}", "price": 12.5, "category": "lamps"}
    match topic:
        case 0:
            return event | item
        case 1:
            return event | {"query": "a few words more here"}
        case _:
            return event | {"order_id": "o", "items": [item, item]}


def _users(partitions: int) -> Iterator[str]:
    """Name users of the borrowed partition."""
    number = 0
    while True:
        user = f"warm-{number}"
        number += 1
        if partition_of(user.encode(), partitions) == NUMBER:
            yield user
