"""A whole log of events in memory, as an engine takes it: decoded, merged, cut into batches.

Rules of the room: it does not matter where a log is from (a simulated shop, files, topics). Each
partition number is an engine of its own, as in service, so partitions lie one after the other and
no batch holds rows of two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.layout import Records
from stream.core.results import Batch

BATCH_EVENTS: Final = 8192


@dataclass(frozen=True, slots=True)
class EventLog:
    """A merged log. `events["user"]` indexes `users`, `step_first` the steps."""

    events: Records  # (n,) EVENT, per partition in the order in which its engine applies them
    steps: Records  # (m,) STEP
    users: list[bytes]  # keys, or salted hashes of them
    end_ms: int  # event time up to which everything is seen
    partition_first: tuple[int, ...] = (0,)  # index of each partition's first event

    def spans(self) -> list[tuple[int, int]]:
        """First event and end of each partition."""
        ends = [*self.partition_first[1:], len(self.events)]
        return list(zip(self.partition_first, ends, strict=True))


class Piece(NamedTuple):
    """Some events of a log, ready for the engine of their partition."""

    partition: int
    first: int  # index of the first event in the log
    batch: Batch


def batches(
    log: EventLog, events_max: int = BATCH_EVENTS, cuts: Sequence[int] = ()
) -> Iterator[Piece]:
    """Cut a log into batches, each with its own list of users; a batch ends at each of `cuts`."""
    for partition, (start, end) in enumerate(log.spans()):
        stops = sorted({start, end, *(cut for cut in cuts if start < cut < end)})
        for low, high in pairwise(stops):
            for first in range(low, high, events_max):
                last = min(first + events_max, high)
                yield Piece(partition, first, _batch(log, first, last))


def step_index(events: Records) -> npt.NDArray[np.int64]:
    """Index of every step of the events, in the order of the events."""
    counts = events["steps_count"].astype(np.int64)
    within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    return np.asarray(np.repeat(events["step_first"].astype(np.int64), counts) + within)


def _batch(log: EventLog, first: int, last: int) -> Batch:
    events = log.events[first:last].copy()
    at = step_index(events)
    known = events["user"] >= 0
    users, local = np.unique(events["user"][known], return_inverse=True)
    events["user"][known] = local
    events["step_first"] = np.cumsum(events["steps_count"]) - events["steps_count"]
    return Batch(events, log.steps[at], [log.users[user] for user in users.tolist()])
