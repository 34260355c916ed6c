"""Whose rows are next: partitions take turns, and few rows of several of them go together."""

from collections.abc import Sequence

from stream.flow.flights import Flights, Work
from stream.flow.gauges import Gauges
from stream.flow.limits import FlowLimits
from stream.flow.observe import Observer
from stream.flow.partition import Partition
from stream.flow.pressure import Pressure
from stream.flow.runtime import Runtime


class Turns:
    """Used by the worker's thread alone."""

    def __init__(
        self,
        limits: FlowLimits,
        pressure: Pressure,
        gauges: Gauges,
        observer: Observer,
        runtime: Runtime,
    ) -> None:
        self._limits = limits
        self._pressure = pressure
        self._gauges = gauges
        self._observer = observer
        self._monotonic, self._now_ms = runtime.monotonic, runtime.now_ms
        self._next = 0

    def take(
        self, partitions: Sequence[Partition], flights: Flights, *, together: bool
    ) -> list[Work]:
        """Take a batch of the next partition that has one, rather of one not with the scorer.

        together: batches of further partitions too, while all of them are at most the
        `at_once_rows_max` rows that are scored in one call here and now; none is cut for it.
        """
        began = self._monotonic()
        turns = [*partitions[self._next :], *partitions[: self._next]]
        turns.sort(key=flights.has)
        round_: list[Work] = []
        room = self._limits.at_once_rows_max
        for partition in turns:
            if round_ and partition.rows_waiting > room:
                continue
            rows_max = self._limits.batch_events_max
            if round_:  # more may have come since
                rows_max = min(room, rows_max)
            taken = partition.take(rows_max, self._now_ms())
            for buffer in partition.buffers:
                self._pressure.ease(buffer)
            if taken is None:
                continue
            round_.append(Work(partition, taken))
            self._next = (partitions.index(partition) + 1) % len(partitions)
            self._gauges.tell_decoding(partition.buffers)
            self._gauges.tell_holds(partition.number, partition.holds_over)
            room -= taken.rows_count
            if not together or room <= 0:
                break
        if round_:
            self._observer.stage("order", self._monotonic() - began)
        return round_
