"""A simulated shop's whole log as batches for an engine: decoded, merged, cut.

Rules of the room: the same decoder, merge and engine as in service, on one partition, so that
training sees what serving sees, duplicates, late events and dead letters included. Synthetic.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.config import EngineConfig
from stream.core.layout import NEVER_MS, TOPICS, Records
from stream.core.merge import merge_heads
from stream.core.results import Batch
from stream.local.shop import Shop
from stream.wire.decode import Decoded, Decoder
from stream.wire.records import columns_of

BATCH_EVENTS: Final = 8192


@dataclass(frozen=True, slots=True)
class ShopLog:
    """A merged log. `events["user"]` indexes `users`, `step_first` the steps."""

    events: Records  # (n,) EVENT, in the order in which an engine applies them
    steps: Records  # (m,) STEP
    users: list[bytes]
    end_ms: int  # simulated time up to which everything is seen


def shop_log(shop: Shop) -> ShopLog:
    """Play a shop to its end. About 15 us an event."""
    decoder = Decoder(1)
    chunks: list[list[Decoded]] = [[] for _ in TOPICS]
    offsets = [0] * len(TOPICS)
    for block in shop.events():
        topics = block.topic
        for topic in range(len(TOPICS)):
            at = np.flatnonzero(topics == topic)
            first, last = offsets[topic], offsets[topic] + len(at)
            offsets[topic] = last
            indices = at.tolist()
            chunks[topic].append(
                decoder.decode(
                    topic,
                    0,
                    first,
                    last,
                    columns_of(
                        range(first, last),
                        block.rows["deliver_ms"][at].tolist(),
                        [block.keys[index] for index in indices],
                        [block.values[index] for index in indices],
                    ),
                )
            )
    return _merged(chunks, shop.end_ms)


def batches(log: ShopLog, events_max: int = BATCH_EVENTS) -> Iterator[Batch]:
    """Cut a log into batches, each with its own list of users."""
    for first in range(0, len(log.events), events_max):
        events = log.events[first : first + events_max].copy()
        at = step_index(events)
        known = events["user"] >= 0
        users, local = np.unique(events["user"][known], return_inverse=True)
        events["user"][known] = local
        events["step_first"] = np.cumsum(events["steps_count"]) - events["steps_count"]
        yield Batch(events, log.steps[at], [log.users[user] for user in users.tolist()])


def step_index(events: Records) -> npt.NDArray[np.int64]:
    """Index of every step of the events, in the order of the events."""
    counts = events["steps_count"].astype(np.int64)
    within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    return np.asarray(np.repeat(events["step_first"].astype(np.int64), counts) + within)


def _merged(chunks: list[list[Decoded]], end_ms: int) -> ShopLog:
    """Join the chunks of each topic, number the users, take heads by event time."""
    numbers: dict[bytes, int] = {}
    topics, steps = [], []
    steps_count = 0
    for parts in chunks:
        for part in parts:
            part.events["step_first"] += steps_count
            steps_count += len(part.steps)
            steps.append(part.steps)
            known = part.events["user"] >= 0
            index = [numbers.setdefault(key, len(numbers)) for key in part.users]
            if index:
                part.events["user"][known] = np.array(index, np.int32)[part.events["user"][known]]
        topics.append(np.concatenate([part.events for part in parts]))
    order = _heads([_merge_times(events) for events in topics])
    events = np.concatenate(topics)[order]
    return ShopLog(events, np.concatenate(steps), list(numbers), end_ms)


def _merge_times(events: Records) -> npt.NDArray[np.int64]:
    """Give times to merge by: an event from the future would hold its topic back to the end."""
    ahead = events["time_ms"] - events["timestamp_ms"] > EngineConfig().future_ms_max
    return np.where(ahead, NEVER_MS, events["time_ms"])


def _heads(times: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Merge whole topics: merge_heads stops where one of them ends, so it is called again."""
    total = sum(len(part) for part in times)
    starts = np.cumsum([0, *(len(part) for part in times)])[:3]
    taken = [0, 0, 0]
    order = np.empty(total, np.int64)
    filled = 0
    while filled < total:
        topics = np.empty(total - filled, np.uint8)
        indices = np.empty(total - filled, np.int32)
        left = [np.ascontiguousarray(part[at:]) for part, at in zip(times, taken, strict=True)]
        count = merge_heads(left[0], left[1], left[2], topics, indices)
        kinds = topics[:count].astype(np.int64)
        order[filled : filled + count] = starts[kinds] + np.array(taken)[kinds] + indices[:count]
        for topic in range(3):
            taken[topic] += int((kinds == topic).sum())
        filled += count
    return order
