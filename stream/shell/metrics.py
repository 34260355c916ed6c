"""The metrics of one worker: the flow's Observer, kept as the table says, rendered for Prometheus.

Rules of the room: no global registry, no Faust sensor (Faust's has no prefix and puts milliseconds
in buckets made for seconds); a batch costs microseconds, an event nothing.
"""

import platform
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Final

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from stream.core.layout import NEVER_MS, TOPICS, Level, Outcome, Reason, Records
from stream.core.results import Settled
from stream.flow.flights import Flight
from stream.flow.latest import Latest
from stream.flow.observe import (
    PURPOSES,
    CommitOutcome,
    Eviction,
    InferenceFailure,
    ProduceError,
    Purpose,
    ReloadOutcome,
    Stage,
    WorkerState,
)
from stream.flow.stops import CommitAbortedError, CommitFencedError, CommitLateError
from stream.shell.gpu import GpuReading
from stream.shell.metrics_table import METRICS, OUTCOMES, SEVERITIES, TRANSITIONS
from stream.shell.series import Series

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
# A commit that fails ends the process: only the next one can tell of it.
FAILED_COMMITS: Final[dict[int, CommitOutcome]] = {
    CommitFencedError.exit_code: "fenced",
    CommitAbortedError.exit_code: "aborted",
    CommitLateError.exit_code: "deadline",
}
# By outcome: whether events were applied, so that their times count.
_TAKEN_IN: Final = np.isin(list(Outcome), (Outcome.PREDICTED, Outcome.COALESCED, Outcome.CONTROL))
REASON_NAMES: Final = tuple(reason.name.lower() for reason in Reason)


class Metrics:
    """An Observer. Safe from any thread."""

    def __init__(self, partitions: int, clock: Callable[[], float] = time.time) -> None:
        self.series = Series(METRICS, partitions)
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self.series)
        ProcessCollector(registry=self.registry)
        self.latest = Latest()
        self._clock = clock
        self._lock = threading.Lock()
        self._event_time_ms = [NEVER_MS] * len(TOPICS)  # highest applied, by topic
        self._states: dict[int, tuple[int, int, int, int]] = {}  # by partition: as given to state()
        self._remaining: dict[int, int] = {}  # changelog records to restore, by partition
        self._model_version = "unknown"  # until model() says which
        child = (version("forecart"), platform.python_version())
        self.series.open("build_info", child, only=True)
        self.series.set("build_info", child, 1)

    def render(self, ready: bool) -> bytes:
        """Write all metrics in Prometheus' text format."""
        self.series.set("ready", (), float(ready))
        now_ms = self._clock() * 1000
        for topic, time_ms in zip(TOPICS, self._event_time_ms, strict=True):
            if time_ms != NEVER_MS:
                self.series.set("watermark_lag_seconds", (topic,), (now_ms - time_ms) / 1000)
        return generate_latest(self.registry)

    def chunk(self, topic: int, partition: int, rows: int, bytes_count: int) -> None:
        """Count a fetched chunk."""
        del partition  # the consumer's lag is by partition; consumption is not
        self.series.add("events_consumed_total", (TOPICS[topic],), rows)
        self.series.add("bytes_consumed_total", (TOPICS[topic],), bytes_count)

    def held_over(self, topic: int, partition: int, times: int) -> None:
        """Count times that a partition's rows went on without a topic known to be behind."""
        self.series.add("merge_holds_over_total", (TOPICS[topic], str(partition)), times)

    def stage(self, stage: Stage, seconds: float) -> None:
        """Take the time that one batch spent in a stage."""
        self.series.observe_one("stage_duration_seconds", (stage,), seconds)

    def batch(self, rows: Records, now_ms: int) -> None:
        """Count settled rows by topic, outcome and reason, and note their event time."""
        kinds = (len(TOPICS), len(Outcome))
        places = rows["topic"].astype(np.int64) * kinds[1] + rows["outcome"]
        counts = np.bincount(places, minlength=kinds[0] * kinds[1]).reshape(kinds)
        for topic, outcome in np.argwhere(counts).tolist():
            child = (TOPICS[topic], OUTCOMES[outcome])
            self.series.add("events_processed_total", child, float(counts[topic, outcome]))
        predicted = int(counts[:, Outcome.PREDICTED].sum())
        if predicted:
            self.series.open("predictions_total", (self._model_version,), only=False)
            self.series.add("predictions_total", (self._model_version,), predicted)
        if counts[:, Outcome.DEAD_LETTERED].any():
            self._dead_letters(rows[rows["outcome"] == Outcome.DEAD_LETTERED])
        times_ms = np.where(_TAKEN_IN[rows["outcome"]], rows["event_time_ms"], NEVER_MS)
        for topic in np.flatnonzero(counts.any(axis=1)).tolist():
            newest_ms = int(times_ms[rows["topic"] == topic].max())
            if newest_ms == NEVER_MS:
                continue
            with self._lock:
                self._event_time_ms[topic] = max(self._event_time_ms[topic], newest_ms)
            self.series.set("event_age_seconds", (TOPICS[topic],), (now_ms - newest_ms) / 1000)

    def _dead_letters(self, rows: Records) -> None:
        reasons = len(REASON_NAMES)
        counts = np.bincount(rows["topic"].astype(np.int64) * reasons + rows["reason"])
        for cell in np.flatnonzero(counts):
            child = (TOPICS[cell // reasons], REASON_NAMES[cell % reasons])
            self.series.add("dead_letters_total", child, float(counts[cell]))

    def scores(self, purchase: npt.NDArray[np.float32], churn: npt.NDArray[np.float32]) -> None:
        """Take the probabilities of a batch's predictions."""
        self.series.observe("prediction_score", ("purchase",), purchase.astype(np.float64))
        self.series.observe("prediction_score", ("churn",), churn[churn >= 0].astype(np.float64))

    def inference(self, rows: int, steps: int, padded_steps: int) -> None:
        """Count one call of the scorer."""
        self.series.observe_one("inference_batch_size", (), rows)
        self.series.add("inference_steps_total", (), steps)
        self.series.add("inference_padded_steps_total", (), padded_steps)

    def alerts(self, alerts: Records) -> None:
        """Count published transitions by state and level."""
        if not len(alerts):
            return
        levels = len(SEVERITIES)
        counts = np.bincount(alerts["state"].astype(np.int64) * levels + alerts["level"])
        for cell in np.flatnonzero(counts):
            child = (TRANSITIONS[cell // levels], SEVERITIES[cell % levels])
            self.series.add("alerts_total", child, float(counts[cell]))

    def published(
        self, flight: Flight, settled: Settled, item_json: Sequence[bytes], now_ms: int
    ) -> None:
        """Keep the last of a batch for the live page."""
        self.latest.take(flight, settled, item_json, now_ms)

    def commit(
        self,
        outcome: CommitOutcome,
        seconds: float,
        receipt_ms: npt.NDArray[np.int64],
        event_ms: npt.NDArray[np.int64],
        now_ms: int,
    ) -> None:
        """Count a transaction and, where it was committed, the latencies of its rows."""
        self.series.add("transactions_total", (outcome,), 1)
        self.series.observe_one("transaction_duration_seconds", (), seconds)
        if outcome == "committed":
            event_ms = event_ms[event_ms != NEVER_MS]
            self.series.observe("processing_latency_seconds", (), (now_ms - receipt_ms) / 1000)
            self.series.observe("e2e_latency_seconds", (), (now_ms - event_ms) / 1000)

    def in_flight(self, rows: int) -> None:
        """Set how many rows are fetched and not yet committed."""
        self.series.set("events_in_flight", (), rows)

    def lag(self, topic: int, partition: int, records: int, seconds: float) -> None:
        """Set how far commits are behind."""
        child = (TOPICS[topic], str(partition))
        self.series.set("consumer_lag_records", child, records)
        self.series.set("consumer_lag_seconds", child, seconds)

    def partitions(self, partitions: tuple[int, ...]) -> None:
        """Set the assigned partition numbers and forget what was said of others."""
        self.series.set("assigned_partitions", (), len(partitions))
        with self._lock:
            for kept in (self._states, self._remaining):
                for partition in set(kept) - set(partitions):
                    del kept[partition]
        for topic, number in self.series.children("consumer_lag_records"):
            if int(number) not in partitions:
                self.lag(TOPICS.index(topic), int(number), 0, 0.0)
        self._sum_states()
        self._sum_remaining()

    def rebalance(self, seconds: float) -> None:
        """Count a rebalance."""
        self.series.add("rebalances_total", (), 1)
        self.series.observe_one("rebalance_duration_seconds", (), seconds)

    def paused(self, seconds: float) -> None:
        """Add time for which a partition was held back."""
        self.series.add("paused_seconds_total", (), seconds)

    def state(
        self, partition: int, users: int, bytes_count: int, at_risk: int, high_risk: int
    ) -> None:
        """Set the size of one engine's state and its open alerts."""
        with self._lock:
            self._states[partition] = (users, bytes_count, at_risk, high_risk)
        self._sum_states()

    def _sum_states(self) -> None:
        with self._lock:
            sums = np.array(list(self._states.values()) or [(0, 0, 0, 0)], np.int64).sum(axis=0)
        self.series.set("state_users", (), float(sums[0]))
        self.series.set("state_bytes", (), float(sums[1]))
        self.series.set("alerts_open", (SEVERITIES[Level.AT_RISK],), float(sums[2]))
        self.series.set("alerts_open", (SEVERITIES[Level.HIGH_RISK],), float(sums[3]))

    def evicted(self, reason: Eviction, users: int) -> None:
        """Count users whose state was dropped."""
        self.series.add("state_evictions_total", (reason,), users)

    def restoring(self, partition: int, records_remaining: int) -> None:
        """Set how many changelog records a partition still has to read."""
        with self._lock:
            self._remaining[partition] = records_remaining
        self._sum_remaining()

    def restored(self, partition: int, records: int, seconds: float) -> None:
        """Count a finished restore."""
        with self._lock:
            self._remaining.pop(partition, None)
        self._sum_remaining()
        self.series.add("recovery_records_total", (), records)
        self.series.observe_one("recovery_duration_seconds", (), seconds)

    def _sum_remaining(self) -> None:
        with self._lock:
            remaining = sum(self._remaining.values())
        self.series.set("recovery_remaining_records", (), remaining)

    def produce_error(self, topic: str, reason: ProduceError) -> None:
        """Count a record that an output topic did not take."""
        self.series.add("produce_errors_total", (topic, reason), 1)

    def inference_failure(self, reason: InferenceFailure) -> None:
        """Count a call of the scorer that failed."""
        self.series.add("inference_failures_total", (reason,), 1)

    def provider_fallback(self) -> None:
        """Count a switch to the CPU session, on which the model scores from now on."""
        self.series.add("provider_fallbacks_total", (), 1)
        self.series.set("provider_degraded", (), 1)
        for name, sha256, _, precision in self.series.children("model_info"):
            self.model(name, sha256, "cpu", precision)

    def provider_wanted(self, provider: str) -> None:
        """Set what the setting `provider` says."""
        self.series.set("provider_wanted", (provider,), 1)

    def gpus(self, readings: Iterable[GpuReading]) -> None:
        """Set what the GPUs say of themselves."""
        for reading in readings:
            for name, value in reading.gauges.items():
                self.series.open(name, (reading.gpu,), only=False)
                self.series.set(name, (reading.gpu,), value)

    def stops(self, counts: Mapping[int, int]) -> None:
        """Count failures that ended this worker before, by exit code; some were of a commit."""
        for code, count in counts.items():
            self.series.add("stops_total", (str(code),), count)
            if code in FAILED_COMMITS:
                self.series.add("transactions_total", (FAILED_COMMITS[code],), count)

    def model(self, version: str, sha256: str, provider: str, precision: str) -> None:
        """Set the model that scores from now on."""
        self.series.open("predictions_total", (version,), only=False)
        child = (version, sha256, provider, precision)
        self.series.open("model_info", child, only=True)
        self.series.set("model_info", child, 1)
        self._model_version = version

    def model_reload(self, outcome: ReloadOutcome) -> None:
        """Count an attempt to swap the model."""
        self.series.add("model_reloads_total", (outcome,), 1)

    def model_behind(self, behind: bool) -> None:
        """Set whether the control record names another model than the one that scores."""
        self.series.set("model_behind", (), float(behind))

    def candidate(self, model: tuple[str, Purpose] | None, warm_share: float) -> None:
        """Set the model beside the one that scores, what for, and how warm it is."""
        self.series.set("candidate_warm_ratio", (), warm_share)
        for purpose in PURPOSES:
            named = model is not None and model[1] == purpose
            self.series.set("candidate", (purpose,), float(named))

    def promotion(self, seconds: float) -> None:
        """Take the time for which batches waited for a change of the model."""
        self.series.observe_one("promotion_duration_seconds", (), seconds)

    def shadow(
        self,
        agreement: npt.NDArray[np.float64],
        purchase: npt.NDArray[np.float64],
        next_event: npt.NDArray[np.float64],
        active_s: float,
        shadow_s: float,
    ) -> None:
        """Take how far a shadow agrees with the model that scores, and what both took."""
        self.series.observe("shadow_agreement_ratio", (), agreement)
        self.series.observe("shadow_purchase_difference", (), purchase)
        self.series.observe("shadow_next_event_divergence", (), next_event)
        self.series.add("shadow_scoring_seconds_total", ("active",), active_s)
        self.series.add("shadow_scoring_seconds_total", ("shadow",), shadow_s)

    def worker(self, state: WorkerState) -> None:
        """Set what the worker is doing."""
        for (name,) in self.series.children("worker_state"):
            self.series.set("worker_state", (name,), float(name == state))

    def loop_lag(self, seconds: float) -> None:
        """Set by how much the event loop woke late."""
        self.series.set("event_loop_lag_seconds", (), seconds)
