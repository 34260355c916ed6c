"""The batches that are with the scorer, in the order in which they were launched."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, NamedTuple

from stream.core.plan import Scores
from stream.core.results import Applied
from stream.flow.partition import Partition, Taken

FLIGHTS_MAX: Final = 2  # the scorer goes on with one while the other is settled (docs/adr/0018)


class Work(NamedTuple):
    """A batch and whose it is."""

    partition: Partition
    taken: Taken


@dataclass(slots=True)
class Flight:
    """A batch that is being scored."""

    partition: Partition
    taken: Taken
    applied: Applied
    scores: Future[list[Scores]]  # of what was scored in one call
    place: int  # its own among them
    together: Sequence[Work]  # whose they are
    at_once: bool  # the scores were there when it was launched


class Flights:
    """At most FLIGHTS_MAX, each of another partition: an engine settles before it applies again."""

    def __init__(self) -> None:
        self._flights: deque[Flight] = deque()

    def launch(self, flight: Flight) -> None:
        """Add the last one."""
        self._flights.append(flight)

    def land(self) -> Flight:
        """Take the first one out."""
        return self._flights.popleft()

    def has(self, partition: Partition) -> bool:
        """Whether a batch of this partition is being scored."""
        return any(flight.partition is partition for flight in self._flights)

    def in_the_way(self, partition: Partition) -> bool:
        """Whether one has to land before a batch of this partition can be launched."""
        return len(self._flights) >= FLIGHTS_MAX or self.has(partition)

    @property
    def rows_count(self) -> int:
        """Count the rows of all of them."""
        return sum(len(flight.applied.rows) for flight in self._flights)

    @property
    def first_at_once(self) -> bool:
        """Whether the first one was scored at once."""
        return bool(self._flights) and self._flights[0].at_once

    def __len__(self) -> int:
        return len(self._flights)
