"""Values of the metrics, and their way to prometheus_client: a collector of our own.

Rules of the room: only public names of prometheus_client. Its own Histogram takes one value at a
time (1.6-3 us each), so values are kept here: one number or one array of bucket counts per child,
fed in bulk, under one lock that is held for microseconds. A label outside its closed set is a
KeyError: our mistake.
"""

import itertools
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Exposed
from prometheus_client.registry import Collector

from stream.shell.metrics_table import OPEN, PARTITION, PREFIX, Metric

Child = tuple[str, ...]
OPEN_CHILDREN_MAX: Final = 20  # per metric with an OPEN label; beyond it the oldest child goes


class Buckets:
    """One histogram child.

    edges: (E,) float64, upper bounds without +Inf. counts: (E + 1,) int64, not cumulative.
    """

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = np.array(edges, np.float64)
        self.counts = np.zeros(len(edges) + 1, np.int64)
        self.sum = 0.0

    def observe(self, values: npt.NDArray[np.float64]) -> None:
        """Add values; NaN is left out. 20 ns a value in bulk."""
        values = values[~np.isnan(values)]
        # left: the first edge that is not below the value, as `le` means it
        indices = np.searchsorted(self.edges, values, side="left")
        self.counts += np.bincount(indices, minlength=len(self.counts))
        self.sum += float(values.sum())

    def observe_one(self, value: float) -> None:
        """Add one value, 0.5 us. numpy's search costs more, and lets another thread in."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Give (`le`, count up to it), +Inf last."""
        names = [*(str(float(edge)) for edge in self.edges), "+Inf"]
        return [(n, float(c)) for n, c in zip(names, np.cumsum(self.counts), strict=True)]


class Series(Collector):
    """All values of a table of metrics."""

    def __init__(self, table: Iterable[Metric], partitions: int) -> None:
        self.table = {metric.name: metric for metric in table}
        self._lock = threading.Lock()
        self._numbers: dict[str, dict[Child, float]] = {}
        self._buckets: dict[str, dict[Child, Buckets]] = {}
        for metric in self.table.values():
            children = list(_children(metric, partitions))
            if metric.kind == "histogram":
                self._buckets[metric.name] = {c: Buckets(metric.buckets) for c in children}
            else:
                self._numbers[metric.name] = dict.fromkeys(children, 0.0)

    def add(self, name: str, child: Child, amount: float) -> None:
        """Add to a counter (or gauge)."""
        with self._lock:
            self._numbers[name][child] += amount

    def set(self, name: str, child: Child, value: float) -> None:
        """Set a gauge."""
        with self._lock:
            numbers = self._numbers[name]
            if child not in numbers:
                raise KeyError(f"{name} has no child {child}")
            numbers[child] = value

    def observe(self, name: str, child: Child, values: npt.NDArray[np.float64]) -> None:
        """Add values to a histogram."""
        with self._lock:
            self._buckets[name][child].observe(values)

    def observe_one(self, name: str, child: Child, value: float) -> None:
        """Add one value to a histogram."""
        with self._lock:
            self._buckets[name][child].observe_one(value)

    def open(self, name: str, child: Child, *, only: bool) -> None:
        """Make a child of a metric with OPEN labels, at 0; with `only`, drop the others."""
        with self._lock:
            numbers = self._numbers[name]
            if only:
                numbers.clear()
            numbers.setdefault(child, 0.0)
            while len(numbers) > OPEN_CHILDREN_MAX:
                del numbers[next(iter(numbers))]

    def children(self, name: str) -> tuple[Child, ...]:
        """Name the children of a counter or gauge."""
        with self._lock:
            return tuple(self._numbers[name])

    def number(self, name: str, child: Child = ()) -> float:
        """Read a counter or gauge."""
        with self._lock:
            return self._numbers[name][child]

    def buckets(self, name: str, child: Child = ()) -> tuple[list[float], npt.NDArray[np.int64]]:
        """Read a histogram: upper edges without +Inf, (E + 1,) counts, a copy."""
        with self._lock:
            held = self._buckets[name][child]
            return held.edges.tolist(), held.counts.copy()

    def collect(self) -> Iterator[Exposed]:
        """Give every metric with all its children, for prometheus_client."""
        for metric in self.table.values():
            yield self._exposed(metric)

    def _exposed(self, metric: Metric) -> Exposed:
        labels = list(metric.labels)
        name = PREFIX + metric.name
        with self._lock:
            if metric.kind == "histogram":
                histogram = HistogramMetricFamily(name, metric.help, labels=labels)
                for child, buckets in self._buckets[metric.name].items():
                    histogram.add_metric(child, buckets.cumulative(), buckets.sum)
                return histogram
            family: CounterMetricFamily | GaugeMetricFamily
            if metric.kind == "counter":
                family = CounterMetricFamily(name, metric.help, labels=labels)
            else:
                family = GaugeMetricFamily(name, metric.help, labels=labels)
            for child, value in self._numbers[metric.name].items():
                family.add_metric(child, value)
            return family


def _children(metric: Metric, partitions: int) -> Iterator[Child]:
    sets = [
        tuple(str(number) for number in range(partitions)) if values == PARTITION else values
        for values in metric.labels.values()
    ]
    if OPEN not in sets:
        yield from itertools.product(*sets)
