"""What the live page shows: a sample of the metrics each second, the last predictions, states.

Rules of the room: the hot path knows nothing of it. A sample reads some ten numbers; a page that is
asked for is made at most once in FRESH_S, however many look. Nothing of a user without `users`.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.layout import EVENT_TYPES, TOPICS, Level
from stream.flow.latest import Alert, Prediction
from stream.shell.health import Health
from stream.shell.metrics import Metrics
from stream.shell.metrics_table import OUTCOMES, SEVERITIES

SAMPLES_MAX: Final = 121  # a second each: two minutes of curves
LATENCY_SAMPLES: Final = 10  # over which a percentile is taken
FRESH_S: Final = 0.5


class Sample(NamedTuple):
    """The counters at one moment."""

    at: float  # monotonic, s
    processed: float
    lag_records: float
    lag_s: float
    latency: npt.NDArray[np.int64]  # (E + 1,) counts since the start


class Live:
    """Safe from any thread."""

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        about: Mapping[str, object],
        *,
        users: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._about = dict(about)  # facts that do not change
        self._has_token = users
        self._clock = clock
        self._began = clock()
        self._edges, _ = metrics.series.buckets("processing_latency_seconds")
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._lock = threading.Lock()
        self._made: dict[bool, tuple[float, bytes]] = {}

    def sample(self) -> None:
        """Take a sample; called about once a second."""
        series = self._metrics.series
        processed = sum(
            series.number("events_processed_total", (topic, outcome))
            for topic in TOPICS
            for outcome in OUTCOMES
        )
        children = series.children("consumer_lag_records")
        lags = [series.number("consumer_lag_records", child) for child in children]
        ages = [series.number("consumer_lag_seconds", child) for child in children]
        _, counts = series.buckets("processing_latency_seconds")
        sample = Sample(self._clock(), processed, sum(lags, 0.0), max(ages, default=0.0), counts)
        with self._lock:
            self._samples.append(sample)

    def page(self, *, users: bool) -> bytes:
        """Write what is known now as JSON; with `users` also whom it is about."""
        with self._lock:
            made_at, made = self._made.get(users, (-FRESH_S, b""))
            if self._clock() - made_at < FRESH_S:
                return made
            samples = list(self._samples)
            made = json.dumps(self._note(samples, users=users), allow_nan=False).encode()
            self._made[users] = self._clock(), made
            return made

    def _note(self, samples: list[Sample], *, users: bool) -> dict[str, Any]:
        ready = self._health.ready()
        latest = self._metrics.latest
        return {
            **self._about,
            "ready": ready.well,
            "reasons": ready.reasons,
            "state": self._one("worker_state"),
            "now_ms": int(time.time() * 1000),
            "up_seconds": round(self._clock() - self._began, 1),
            "users": "shown" if users else "locked" if self._has_token else "off",
            "partitions": int(self._number("assigned_partitions")),
            "restore_remaining": int(self._number("recovery_remaining_records")),
            "in_flight": int(self._number("events_in_flight")),
            "model": self._model(),
            "curves": curves(samples, self._edges),
            "lag_by_topic": self._lags(),
            "outcomes": {
                outcome: int(
                    sum(self._number("events_processed_total", t, outcome) for t in TOPICS)
                )
                for outcome in OUTCOMES
            },
            "alerts_open": {
                SEVERITIES[level]: int(self._number("alerts_open", SEVERITIES[level]))
                for level in (Level.AT_RISK, Level.HIGH_RISK)
            },
            "predictions": [_prediction(each, users=users) for each in latest.predictions],
            "alerts": [_alert(each, users=users) for each in latest.alerts],
        }

    def _number(self, name: str, *child: str) -> float:
        return self._metrics.series.number(name, child)

    def _one(self, name: str) -> str:
        """Name the one child of a state that is set."""
        children = self._metrics.series.children(name)
        return next((child[0] for child in children if self._number(name, *child)), "")

    def _model(self) -> dict[str, Any]:
        infos = self._metrics.series.children("model_info")
        version, _, provider, _ = infos[0] if infos else ("", "", "", "")
        return {
            "version": version,
            "provider": provider,
            "wanted": self._one("provider_wanted"),
            "degraded": bool(self._number("provider_degraded")),
            "behind": bool(self._number("model_behind")),
            "candidate": self._one("candidate"),
            "candidate_warm": self._number("candidate_warm_ratio"),
        }

    def _lags(self) -> dict[str, int]:
        lags = dict.fromkeys(TOPICS, 0)
        for topic, number in self._metrics.series.children("consumer_lag_records"):
            lags[topic] += int(self._number("consumer_lag_records", topic, number))
        return lags


def curves(samples: list[Sample], edges: list[float]) -> dict[str, list[float | None]]:
    """Turn samples into curves, a point a second, oldest first: rates, lags, percentiles."""
    found: dict[str, list[float | None]] = {
        name: [] for name in ("rate", "lag_records", "lag_seconds", "p50_ms", "p99_ms")
    }
    for index in range(1, len(samples)):
        now, before = samples[index], samples[index - 1]
        past = samples[max(0, index - LATENCY_SAMPLES)]
        seconds = max(now.at - before.at, 1e-3)
        found["rate"].append(round((now.processed - before.processed) / seconds, 1))
        found["lag_records"].append(now.lag_records)
        found["lag_seconds"].append(round(now.lag_s, 3))
        counts = now.latency - past.latency
        found["p50_ms"].append(quantile_ms(edges, counts, 0.5))
        found["p99_ms"].append(quantile_ms(edges, counts, 0.99))
    return found


def quantile_ms(edges: list[float], counts: npt.NDArray[np.int64], q: float) -> float | None:
    """Estimate a quantile as Prometheus does, linear within a bucket; None: no values."""
    total = int(counts.sum())
    if total == 0:
        return None
    upto = np.cumsum(counts)
    bucket = int(np.searchsorted(upto, q * total, side="left"))
    if bucket >= len(edges):
        return edges[-1] * 1000
    low = edges[bucket - 1] if bucket else 0.0
    before = int(upto[bucket - 1]) if bucket else 0
    share = (q * total - before) / int(counts[bucket])
    return round((low + (edges[bucket] - low) * share) * 1000, 1)


def _prediction(each: Prediction, *, users: bool) -> dict[str, Any]:
    note: dict[str, Any] = {
        "place": f"{each.topic}-{each.partition}-{each.offset}",
        "at_ms": each.at_ms,
        "as_of_ms": each.as_of_ms,
        "late": each.late,
        "purchase": round(each.purchase, 4),
        "churn": round(each.churn, 4) if each.churn >= 0 else None,
        "next_event": dict(zip(EVENT_TYPES, (round(p, 4) for p in each.next_event), strict=True)),
    }
    if users:
        note["user"] = each.user.decode(errors="replace")
        note["items"] = [json.loads(text) for text in each.items]
    return note


def _alert(each: Alert, *, users: bool) -> dict[str, Any]:
    note: dict[str, Any] = {
        "at_ms": each.at_ms,
        "event_ms": each.event_ms,
        "partition": each.partition,
        "state": each.state,
        "level": each.level,
        "reason": each.reason,
        "churn": round(each.churn, 4) if each.churn >= 0 else None,
        "silence_seconds": each.silence_ms / 1000,
    }
    if users:
        note["user"] = each.user.decode(errors="replace")
    return note
