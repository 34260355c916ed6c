"""Whether the recorded order is a legal merge: what a process had when it took its rows.

A row is there for the first take that begins after its chunk was handed over. A row may be taken
before a smaller head of another topic only while that head was not there yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stream.core.results import Batch
from stream.flow.buffer import TopicBuffer
from stream.flow.order import Order, Origin
from stream.flow.partition import Partition
from tests.oracle.merge import Name, inversions
from tests.oracle.records import Event


@dataclass(slots=True)
class Tenure:
    """One process's time with a partition number; counts rows as partition_seq does."""

    taken: int  # rows taken so far, those before its time included
    arrived: dict[Name, int] = field(default_factory=dict)  # row -> taken when it was first there
    _new: list[Name] = field(default_factory=list)  # handed over since the last take began

    def hand_over(self, names: Sequence[Name]) -> None:
        """Note rows of a chunk."""
        self._new += names

    def begin_take(self) -> None:
        """Note that all that was handed over is there from here on."""
        for name in self._new:
            self.arrived.setdefault(name, self.taken)
        self._new.clear()


class WatchedOrder:
    """A partition's order; tells a tenure of its takes."""

    def __init__(self, order: Order, tenure: Tenure) -> None:
        self._order = order
        self._tenure = tenure

    @property
    def holds_over(self) -> int:
        return self._order.holds_over

    def take(
        self, buffers: list[TopicBuffer], rows_max: int, now_ms: int
    ) -> tuple[Batch, Origin] | None:
        self._tenure.begin_take()
        found = self._order.take(buffers, rows_max, now_ms)
        if found is not None:
            self._tenure.taken += len(found[0].events)
        return found


def watch(partition: Partition) -> Tenure:
    """Begin a tenure: from here on what the partition takes is told."""
    tenure = Tenure(int(partition.engine.state.clock["seq"][0]))
    order: object = WatchedOrder(partition._order, tenure)
    setattr(partition, "_order", order)  # noqa: B010 the type is another's
    return tenure


def merge_problems(
    order: Sequence[Name], topics: Sequence[Sequence[Event]], by_seq: Mapping[int, Tenure]
) -> list[str]:
    """Say where a row was taken before one that was there and came first.

    by_seq: whose commit ended at that partition_seq.
    """
    found = []
    ends = sorted(by_seq)
    for inversion in inversions(order, topics):
        end = next(seq for seq in ends if seq > inversion.position)
        there = by_seq[end].arrived.get(inversion.passed_over)
        if there is not None and there <= inversion.position:
            found.append(
                f"row {inversion.position + 1}: {inversion.taken} was taken before"
                f" {inversion.passed_over}, which was there"
            )
    return found
