"""How far a contender has come, looked at from outside: the rate between commits.

Rules of the room: only commits count, or records written where nothing is ever committed. The clock
starts at the first commit seen, when start-up is over, and stops at the last one but the tail: the
final commit may have waited for its interval. Events before the first commit are not in the rate.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

LOOK_S = 0.05
POINTS_MIN = 4
# A fresh broker or group is not there at once; librdkafka does not call these retriable.
STARTING = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


@dataclass(slots=True)
class Progress:
    """Points (monotonic seconds, wall seconds, events committed, processor seconds), rising."""

    points: list[tuple[float, float, int, float]] = field(default_factory=list)

    def rate(
        self, until_wall_s: float | None = None, from_events: int = 0
    ) -> tuple[int, float, float]:
        """Give events, seconds and processor seconds between the first and the last counted point.

        Raises ValueError where there are too few commits to say.
        """
        points = [point for point in self.points if point[2] >= from_events]
        if until_wall_s is not None:
            points = [point for point in points if point[1] <= until_wall_s]
        elif len(points) > POINTS_MIN:
            points = points[:-1]
        if len(points) < 2:
            raise ValueError(f"{len(points)} commits seen: too few events for a rate")
        first, last = points[0], points[-1]
        return last[2] - first[2], last[0] - first[0], last[3] - first[3]


def watch(
    done: Callable[[], int], events: int, deadline_s: float, alive: Callable[[], float]
) -> Progress:
    """Look until all events are done. `alive` gives processor seconds, or raises.

    Raises TimeoutError when the deadline passes.
    """
    progress = Progress()
    deadline = time.monotonic() + deadline_s
    seen = 0
    while seen < events:
        cpu_s = alive()
        count = done()
        if count > seen:
            progress.points.append((time.monotonic(), time.time(), count, cpu_s))
            seen = count
        elif time.monotonic() > deadline:
            raise TimeoutError(f"{seen} of {events} events in {deadline_s:g} s")
        time.sleep(LOOK_S)
    return progress


@contextlib.contextmanager
def committed(
    bootstrap: str, group: str, places: list[tuple[str, int]]
) -> Iterator[Callable[[], int]]:
    """Give the function that counts the events a group has committed."""
    # A consumer that joins nothing; why not the admin client: tests/tidy_rules.py, CRASHING.
    # Read uncommitted, so that an answer does not wait for a commit under way.
    asking = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group, "isolation.level": "read_uncommitted"}
    )
    wanted = [TopicPartition(*place) for place in places]

    def count() -> int:
        try:
            answer = asking.committed(wanted, timeout=10)
        except KafkaException as error:
            if error.args[0].retriable() or error.args[0].code() in STARTING:
                return 0
            raise
        return sum(max(0, place.offset) for place in answer)

    try:
        yield count
    finally:
        asking.close()
