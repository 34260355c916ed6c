"""An hour of two workers in which all went wrong that a dashboard can show, as OpenMetrics text.

Made up, with a seed: every metric of the table moves, so that a panel which shows nothing asks for
the wrong thing. Recordings and alerts, which a server makes itself, are written beside.
"""

import math
import random
from collections.abc import Iterator
from itertools import product

from stream.shell.metrics_table import METRICS, OPEN, PARTITION, PREFIX, Metric
from tests.ops import promql

STEP_S = 15
POINTS = 241
WORKERS = ("worker-0:6066", "worker-1:6066")
OPEN_VALUES = {
    "version": ("v1",), "sha256": ("ab",), "provider": ("cuda",), "precision": ("float32",),
    "model_version": ("v1", "v2"), "python": ("3.11",), "gpu": ("0",),
    "alertname": ("LagHigh",), "severity": ("page",), "topic": ("clicks",), "head": ("churn",),
    "job": ("forecart",), "instance": WORKERS,
}  # fmt: skip


def text(start: int) -> str:
    """Give the hour that begins at `start` (unix seconds)."""
    chance = random.Random(7)
    lines: list[str] = []
    for metric in METRICS:
        family = PREFIX + metric.name.removesuffix("_total")
        lines.append(f"# TYPE {family} {metric.kind}")
        for labels in _children(metric):
            lines += _of_child(metric, family, labels, start, chance)
    for name, labels in promql.series().items():
        if not name.startswith(PREFIX):
            kind = "counter" if name.endswith("_total") else "gauge"
            lines.append(f"# TYPE {name.removesuffix('_total')} {kind}")
            for values in product(*(OPEN_VALUES[label] for label in sorted(_named(labels)))):
                child = dict(zip(sorted(_named(labels)), values, strict=True))
                if name == "ALERTS":
                    child["alertstate"] = "firing"
                lines += _gauge(name, child, start, chance)
    return "\n".join([*lines, "# EOF\n"])


def _named(labels: dict[str, tuple[str, ...]]) -> set[str]:
    """A recording has the labels that its rule leaves; a scraped one has its target's."""
    own = {"alertname", "severity", "topic", "head"} & set(labels)
    return own | (set(labels) & {"job"} if "job" in labels else {"job", "instance"})


def _children(metric: Metric) -> Iterator[dict[str, str]]:
    sets = []
    for name, values in metric.labels.items():
        if values == PARTITION:
            sets.append(("0", "1"))
        else:
            sets.append(OPEN_VALUES[name] if values == OPEN else values)
    for instance, *values in product(WORKERS, *sets):
        own = dict(zip(metric.labels, values, strict=True))
        yield {"job": "forecart", "instance": instance, **own}


def _of_child(
    metric: Metric, family: str, labels: dict[str, str], start: int, chance: random.Random
) -> list[str]:
    if metric.kind == "gauge":
        return _gauge(family, labels, start, chance)
    rate = chance.uniform(1, 50)
    if metric.kind == "counter":
        return [
            f"{family}_total{_braces(labels)} {rate * at:.3f} {start + at}"
            for at in range(0, POINTS * STEP_S, STEP_S)
        ]
    lines = []
    shares = sorted(chance.random() for _ in metric.buckets)
    for at in range(0, POINTS * STEP_S, STEP_S):
        count = math.floor(rate * at)
        for edge, share in zip((*metric.buckets, math.inf), (*shares, 1.0), strict=True):
            le = "+Inf" if math.isinf(edge) else str(float(edge))
            counted = math.floor(count * share)
            lines.append(f"{family}_bucket{_braces(labels | {'le': le})} {counted} {start + at}")
        lines.append(f"{family}_count{_braces(labels)} {count} {start + at}")
        lines.append(f"{family}_sum{_braces(labels)} {count * shares[0]:.3f} {start + at}")
    return lines


def _gauge(name: str, labels: dict[str, str], start: int, chance: random.Random) -> list[str]:
    always_one = name.endswith("_info") or name in {"up", "ALERTS", "forecart_provider_wanted"}
    high = 1.0 if always_one or name == "forecart_worker_state" else chance.uniform(1, 100)
    values = [high if always_one else high * (0.5 + 0.5 * math.sin(n / 20)) for n in range(POINTS)]
    if name == "forecart_worker_state":
        values = [float(n % 6 == sum(map(ord, labels["state"])) % 6) for n in range(POINTS)]
    return [
        f"{name}{_braces(labels)} {value:.4f} {start + n * STEP_S}"
        for n, value in enumerate(values)
    ]


def _braces(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
