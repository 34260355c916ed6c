"""Records of topic partitions to one log: the service's decoder, then its merge.

Rules of the room: records of a topic partition come in offset order. Whole topics are merged by
event time, as the worker does when it is never kept waiting; how it did apply them is another
order. Keys and values are not kept once they are decoded. Users named in `forgotten`, and those
whom a `user_forget` of the log names, are left out whole: before anything is counted or numbered.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from export.dataset.event_log import EventLog, step_index
from export.dataset.names import Names
from stream.core.config import EngineConfig
from stream.core.layout import EVENT, NEVER_MS, STEP, TOPICS, Flag, Reason, Records
from stream.core.merge import merge_heads
from stream.wire.decode import Decoded, Decoder
from stream.wire.records import columns_of

Integers = npt.NDArray[np.int64]
# (partition, its events topic after topic) -> indices of them in the order of application; events
# that are not named were not applied, and are left out.
Order = Callable[[int, Records], Integers]

ADD_RECORDS_MAX: Final = 8192  # what a source hands over at once
WITNESSES: Final = 3


class LogMerger:
    """Takes records, gives a log. `names` gathers the texts of good events, where wanted."""

    def __init__(self, decoder: Decoder, partitions: int = 1, names: Names | None = None) -> None:
        self._decoder = decoder
        self._names = names
        self._parts: list[list[list[Decoded]]] = [[[] for _ in TOPICS] for _ in range(partitions)]

    def add(
        self,
        topic: int,
        partition: int,
        offsets: list[int],
        timestamps_ms: list[int],
        keys: list[bytes | None],
        values: list[bytes | None],
    ) -> None:
        """Decode further records of a topic partition, at most about ADD_RECORDS_MAX."""
        if not offsets:
            return
        records = columns_of(offsets, timestamps_ms, keys, values)
        made = self._decoder.decode(topic, partition, offsets[0], offsets[-1] + 1, records)
        if self._names is not None:
            self._names.learn(topic, made.events, values)
        made.records, made.messages = columns_of((), (), (), ()), {}
        self._parts[partition][topic].append(made)

    def merged(
        self,
        end_ms: int | None = None,
        forgotten: Iterable[bytes] = (),
        order: Order | None = None,
    ) -> EventLog:
        """Give the log. `end_ms`: time up to which it is whole; None: that of its newest event."""
        order = order or merge_order
        numbers: dict[bytes, int] = {}
        events: list[Records] = []
        steps: list[Records] = []
        first = [0]
        for partition, topics in enumerate(self._parts):
            part, part_steps = _joined(topics, numbers, sum(len(made) for made in steps))
            events.append(part[order(partition, part)])
            steps.append(part_steps)
            first.append(first[-1] + len(events[-1]))
        every = np.concatenate(events)
        log = EventLog(
            every,
            np.concatenate(steps),
            list(numbers),
            newest_ms(every) if end_ms is None else end_ms,
            tuple(first[:-1]),
        )
        return without_keys(log, forgotten)


def merge_order(_partition: int, events: Records) -> Integers:
    """Take heads by event time: the order of a worker that never had to wait for a topic."""
    starts = np.searchsorted(events["topic"], np.arange(len(TOPICS) + 1))
    times = _merge_times(events)
    return _heads([times[low:high] for low, high in pairwise(starts)])


def newest_ms(events: Records) -> int:
    """Time of the newest good event; 0 where there is none.

    As the engine's watermark, it takes three events to believe a jump of more than two days.
    """
    times = np.sort(_merge_times(events)[events["reason"] == Reason.NONE])
    times = times[times > 0]
    jumps = np.flatnonzero(np.diff(times) > EngineConfig().watermark_jump_ms_max) + 1
    alone = jumps[len(times) - jumps < WITNESSES]
    last = int(alone[0]) if len(alone) else len(times)
    return int(times[last - 1]) if last else 0


def without_keys(log: EventLog, forgotten: Iterable[bytes]) -> EventLog:
    """Leave users out whole: those named, and those whom a `user_forget` of the log names.

    Whoever came back after it stays out too. Steps and keys of theirs are gone.
    """
    numbers = {key: user for user, key in enumerate(log.users)}
    control = log.events["flags"] & Flag.CONTROL_FORGET > 0
    gone = set(log.events["user"][control].tolist())
    gone |= {numbers[key] for key in forgotten if key in numbers}
    if not gone:
        return log
    left = _only(log, ~np.isin(log.events["user"], np.fromiter(gone, np.int64)))
    stay = np.array([user not in gone for user in range(len(log.users))], np.bool_)
    places = np.append(np.cumsum(stay) - 1, -1)  # the last one serves -1
    left.events["user"] = places[left.events["user"]]
    users = [key for key, there in zip(log.users, stay.tolist(), strict=True) if there]
    return EventLog(left.events, left.steps, users, left.end_ms, left.partition_first)


def without_before(log: EventLog, since_ms: int) -> EventLog:
    """Leave out events of a time before `since_ms`; dead letters have none, and stay."""
    times = log.events["time_ms"]
    return _only(log, (times >= since_ms) | (times == NEVER_MS))


def _only(log: EventLog, kept: npt.NDArray[np.bool_]) -> EventLog:
    """Keep some events, and their steps."""
    events = log.events[kept]
    at = step_index(events)
    events["step_first"] = np.cumsum(events["steps_count"]) - events["steps_count"]
    before = np.concatenate([[0], np.cumsum(kept)])
    firsts = tuple(int(before[first]) for first in log.partition_first)
    return EventLog(events, log.steps[at], log.users, log.end_ms, firsts)


def _joined(
    topics: list[list[Decoded]], numbers: dict[bytes, int], steps_before: int
) -> tuple[Records, Records]:
    """Join the chunks of one partition, topic after topic, and number the users."""
    events, steps = [np.zeros(0, EVENT)], [np.zeros(0, STEP)]
    steps_count = steps_before
    for part in (part for parts in topics for part in parts):
        part.events["step_first"] += steps_count
        steps_count += len(part.steps)
        steps.append(part.steps)
        events.append(part.events)
        known = part.events["user"] >= 0
        index = [numbers.setdefault(key, len(numbers)) for key in part.users]
        if index:
            part.events["user"][known] = np.array(index, np.int32)[part.events["user"][known]]
    return np.concatenate(events), np.concatenate(steps)


def _merge_times(events: Records) -> Integers:
    """Give times to merge by: an event from the future would hold its topic back to the end."""
    ahead = events["time_ms"] - events["timestamp_ms"] > EngineConfig().future_ms_max
    return np.where(ahead, NEVER_MS, events["time_ms"])


def _heads(times: list[Integers]) -> Integers:
    """Merge whole topics: none is waited for when it ends."""
    total = sum(len(part) for part in times)
    starts = np.cumsum([0, *(len(part) for part in times)], dtype=np.int64)[:3]
    topics, indices = np.empty(total, np.uint8), np.empty(total, np.int32)
    merge_heads(times[0], times[1], times[2], np.ones(3, np.bool_), topics, indices)
    return starts[topics] + indices
