"""The metrics: what Prometheus reads is what the table says, and what the flow said."""

import re
import threading

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream.core.layout import NEVER_MS, AlertState, Level, Outcome, Reason
from stream.core.results import ALERT, ROW
from stream.flow.observe import Observer
from stream.shell import metrics_table
from stream.shell.gpu import GpuReading
from stream.shell.metrics import Metrics
from stream.shell.metrics_table import METRICS, OPEN, PREFIX, page

NOW_S = 1_000.0


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(partitions=2, clock=lambda: NOW_S)


def read(metrics: Metrics) -> dict[str, float]:
    """Every sample by `name{label="value",...}`, labels in order, prefix left out."""
    samples = {}
    for family in text_string_to_metric_families(metrics.render(ready=True).decode()):
        for sample in family.samples:
            labels = ",".join(f'{key}="{sample.labels[key]}"' for key in sorted(sample.labels))
            name = sample.name.removeprefix(PREFIX) + (f"{{{labels}}}" if labels else "")
            assert name not in samples
            samples[name] = sample.value
    return samples


def rows_of(*cells: tuple[int, Outcome, Reason, int]) -> np.ndarray:
    rows = np.zeros(len(cells), ROW)
    for row, (topic, outcome, reason, time_ms) in zip(rows, cells, strict=True):
        row["topic"], row["outcome"], row["reason"] = topic, outcome, reason
        row["event_time_ms"] = time_ms
    return rows


def test_is_an_observer(metrics: Metrics) -> None:
    observer: Observer = metrics  # mypy compares the signatures
    for name in vars(Observer):
        if not name.startswith("_"):
            assert callable(getattr(observer, name)), name


def test_exposed_is_exactly_the_table(metrics: Metrics) -> None:
    text = metrics.render(ready=False).decode()
    exposed = {
        line.split()[2]: line.split()[3]
        for line in text.splitlines()
        if line.startswith("# TYPE forecart_")
    }
    assert exposed == {PREFIX + metric.name: metric.kind for metric in METRICS}


def test_children_stand_at_zero_from_the_start(metrics: Metrics) -> None:
    samples = read(metrics)
    for metric in METRICS:
        if OPEN in metric.labels.values():
            continue
        count = 1
        for values in metric.labels.values():
            count *= 2 if values == metrics_table.PARTITION else len(values)
        suffix = "_count" if metric.kind == "histogram" else ""
        pattern = re.compile(rf"{metric.name}{suffix}(\{{.*)?$")
        found = [value for name, value in samples.items() if pattern.match(name)]
        assert len(found) == count, metric.name
        if metric.name != "ready":
            assert not any(found), metric.name


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_rules(metric: metrics_table.Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert not re.search(r"_(ms|milliseconds|kb|mb|minutes|count|sum|bucket)(_|$)", metric.name)
    if metric.unit in {"seconds", "bytes"}:
        assert metric.unit in metric.name
    if metric.name.endswith("_info"):
        assert metric.kind == "gauge"
    assert metric.help.endswith(".")
    assert not set(metric.labels) & {"user", "user_id", "item", "item_id", "key", "offset", "le"}
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_objective_is_a_bucket_edge() -> None:
    latency = next(m for m in METRICS if m.name == "processing_latency_seconds")
    assert {0.02, 0.55, 1.0} <= set(latency.buckets)


@pytest.mark.parametrize(
    ("value", "below"), [(0.9999, 1), (1.0, 1), (1.0001, 0)], ids=["inside", "exact", "outside"]
)
def test_bucket_edge_is_inclusive(metrics: Metrics, value: float, below: int) -> None:
    metrics.series.observe("processing_latency_seconds", (), np.array([value]))
    samples = read(metrics)
    assert samples['processing_latency_seconds_bucket{le="1.0"}'] == below
    assert samples['processing_latency_seconds_bucket{le="+Inf"}'] == 1
    assert samples["processing_latency_seconds_count"] == 1
    assert samples["processing_latency_seconds_sum"] == value


def test_bulk_counts_as_one_by_one(metrics: Metrics) -> None:
    values = np.random.default_rng(1).exponential(1.0, 1000)
    metrics.series.observe("e2e_latency_seconds", (), values)
    samples = read(metrics)
    edges = next(m for m in METRICS if m.name == "e2e_latency_seconds").buckets
    for edge in edges:
        want = sum(1 for value in values if value <= edge)
        assert samples[f'e2e_latency_seconds_bucket{{le="{edge}"}}'] == want


def test_nan_is_left_out(metrics: Metrics) -> None:
    metrics.scores(np.array([np.nan, 0.5], np.float32), np.array([-1.0, 0.7], np.float32))
    samples = read(metrics)
    assert samples['prediction_score_count{head="purchase"}'] == 1
    assert samples['prediction_score_sum{head="purchase"}'] == 0.5
    assert samples['prediction_score_count{head="churn"}'] == 1


def test_batch_counts_by_topic_outcome_and_reason(metrics: Metrics) -> None:
    metrics.model("v1", "ab", "cpu", "fp32")
    metrics.batch(
        rows_of(
            (0, Outcome.PREDICTED, Reason.NONE, 400_000),
            (0, Outcome.PREDICTED, Reason.NONE, 300_000),
            (2, Outcome.PREDICTED, Reason.NONE, 900_000),
            (1, Outcome.DUPLICATE, Reason.NONE, 999_000),
            (1, Outcome.DEAD_LETTERED, Reason.UNDECODABLE, NEVER_MS),
            (2, Outcome.DEAD_LETTERED, Reason.WRONG_PARTITION, NEVER_MS),
        ),
        now_ms=1_000_000,
    )
    samples = read(metrics)
    assert samples['events_processed_total{outcome="predicted",topic="clicks"}'] == 2
    assert samples['events_processed_total{outcome="predicted",topic="purchases"}'] == 1
    assert samples['events_processed_total{outcome="duplicate",topic="searches"}'] == 1
    assert samples['events_processed_total{outcome="dead_lettered",topic="purchases"}'] == 1
    assert samples['dead_letters_total{reason="undecodable",topic="searches"}'] == 1
    assert samples['dead_letters_total{reason="wrong_partition",topic="purchases"}'] == 1
    assert sum(v for n, v in samples.items() if n.startswith("events_processed_total")) == 6
    assert sum(v for n, v in samples.items() if n.startswith("dead_letters_total")) == 2
    assert samples['predictions_total{model_version="v1"}'] == 3
    assert samples['event_age_seconds{topic="clicks"}'] == 600
    assert samples['watermark_lag_seconds{topic="clicks"}'] == 600
    assert samples['watermark_lag_seconds{topic="purchases"}'] == 100
    assert samples['watermark_lag_seconds{topic="searches"}'] == 0  # a duplicate tells nothing


def test_commit_feeds_latencies_only_when_committed(metrics: Metrics) -> None:
    times_ms = np.array([999_000, 999_900], np.int64)
    metrics.commit("aborted", 0.2, times_ms, times_ms, 1_000_000)
    assert read(metrics)["processing_latency_seconds_count"] == 0
    metrics.commit("committed", 0.1, times_ms, np.array([NEVER_MS, 990_000]), 1_000_000)
    samples = read(metrics)
    assert samples["processing_latency_seconds_count"] == 2
    assert samples["processing_latency_seconds_sum"] == pytest.approx(1.1)
    assert samples["e2e_latency_seconds_count"] == 1
    assert samples["e2e_latency_seconds_sum"] == pytest.approx(10)
    assert samples['transactions_total{outcome="aborted"}'] == 1
    assert samples['transactions_total{outcome="committed"}'] == 1
    assert samples["transaction_duration_seconds_count"] == 2


def test_alerts_count_by_state_and_level(metrics: Metrics) -> None:
    alerts = np.zeros(3, ALERT)
    alerts["state"] = [AlertState.FIRING, AlertState.FIRING, AlertState.RESOLVED]
    alerts["level"] = [Level.HIGH_RISK, Level.HIGH_RISK, Level.AT_RISK]
    metrics.alerts(alerts)
    samples = read(metrics)
    assert samples['alerts_total{severity="high_risk",transition="firing"}'] == 2
    assert samples['alerts_total{severity="at_risk",transition="resolved"}'] == 1


def test_revoked_partition_is_forgotten(metrics: Metrics) -> None:
    metrics.partitions((0, 1))
    metrics.state(0, users=10, bytes_count=100, at_risk=1, high_risk=2)
    metrics.state(1, users=5, bytes_count=50, at_risk=0, high_risk=1)
    metrics.restoring(1, 77)
    metrics.lag(0, 1, records=9, seconds=3.0)
    before = read(metrics)
    assert (before["state_users"], before["state_bytes"]) == (15, 150)
    assert before['alerts_open{severity="high_risk"}'] == 3
    assert before["recovery_remaining_records"] == 77
    metrics.partitions((0,))
    after = read(metrics)
    assert (after["state_users"], after["state_bytes"]) == (10, 100)
    assert after['alerts_open{severity="high_risk"}'] == 2
    assert after["recovery_remaining_records"] == 0
    assert after['consumer_lag_records{partition="1",topic="clicks"}'] == 0
    assert after["assigned_partitions"] == 1


def test_every_other_call_moves_its_metric(metrics: Metrics) -> None:
    calls = {
        'events_consumed_total{topic="searches"}': lambda: metrics.chunk(1, 0, 8, 1600),
        'bytes_consumed_total{topic="searches"}': lambda: metrics.chunk(1, 0, 8, 1600),
        'stage_duration_seconds_count{stage="queue"}': lambda: metrics.stage("queue", 0.1),
        "inference_batch_size_count": lambda: metrics.inference(3, 6, 2),
        "inference_padded_steps_total": lambda: metrics.inference(3, 6, 2),
        "events_in_flight": lambda: metrics.in_flight(5),
        "rebalances_total": lambda: metrics.rebalance(1.0),
        "paused_seconds_total": lambda: metrics.paused(0.5),
        'state_evictions_total{reason="ttl"}': lambda: metrics.evicted("ttl", 4),
        "recovery_records_total": lambda: metrics.restored(0, 100, 2.0),
        "recovery_duration_seconds_count": lambda: metrics.restored(0, 100, 2.0),
        'produce_errors_total{reason="fatal",topic="user-state"}': lambda: metrics.produce_error(
            "user-state", "fatal"
        ),
        'inference_failures_total{reason="cuda"}': lambda: metrics.inference_failure("cuda"),
        "provider_degraded": metrics.provider_fallback,
        'model_reloads_total{outcome="refused"}': lambda: metrics.model_reload("refused"),
        'worker_state{state="draining"}': lambda: metrics.worker("draining"),
        "event_loop_lag_seconds": lambda: metrics.loop_lag(0.25),
        'merge_holds_over_total{partition="1",topic="clicks"}': lambda: metrics.held_over(0, 1, 2),
        'provider_wanted{provider="prefer"}': lambda: metrics.provider_wanted("prefer"),
        'stops_total{code="17"}': lambda: metrics.stops({17: 2}),
        'transactions_total{outcome="deadline"}': lambda: metrics.stops({18: 1}),
    }
    for name, call in calls.items():
        before = read(metrics)[name]
        call()
        assert read(metrics)[name] > before, name


def test_a_gpu_shows_once_it_is_read(metrics: Metrics) -> None:
    assert not [name for name in read(metrics) if name.startswith("gpu_")]
    metrics.gpus([GpuReading("0", {"gpu_power_watts": 300.0, "gpu_utilization_ratio": 0.5})])
    samples = read(metrics)
    assert samples['gpu_power_watts{gpu="0"}'] == 300
    assert samples['gpu_utilization_ratio{gpu="0"}'] == 0.5


def test_worker_is_in_one_state(metrics: Metrics) -> None:
    metrics.worker("restoring")
    metrics.worker("running")
    states = {n: v for n, v in read(metrics).items() if n.startswith("worker_state")}
    assert sum(states.values()) == 1
    assert states['worker_state{state="running"}'] == 1


def test_only_one_model_scores(metrics: Metrics) -> None:
    metrics.model("v1", "aa", "cuda", "fp32")
    metrics.model("v2", "bb", "cpu", "fp32")
    infos = [name for name in read(metrics) if name.startswith("model_info")]
    assert infos == ['model_info{precision="fp32",provider="cpu",sha256="bb",version="v2"}']


def test_a_device_that_failed_scores_no_more(metrics: Metrics) -> None:
    metrics.provider_fallback()  # before a model is told: nothing to rename
    metrics.model("v1", "aa", "cuda", "fp32")
    metrics.provider_fallback()
    infos = [name for name in read(metrics) if name.startswith("model_info")]
    assert infos == ['model_info{precision="fp32",provider="cpu",sha256="aa",version="v1"}']


@pytest.mark.parametrize(("versions", "kept"), [(19, 19), (20, 20), (21, 20)])
def test_model_versions_are_bounded(metrics: Metrics, versions: int, kept: int) -> None:
    for number in range(versions):
        metrics.model(f"v{number}", "aa", "cpu", "fp32")
    found = [name for name in read(metrics) if name.startswith("predictions_total")]
    assert len(found) == kept
    assert found[-1] == f'predictions_total{{model_version="v{versions - 1}"}}'


def test_label_outside_its_set_is_our_mistake(metrics: Metrics) -> None:
    with pytest.raises(KeyError):
        metrics.series.add("rebalances_total", ("clicks",), 1)
    with pytest.raises(KeyError):
        metrics.lag(0, 2, 1, 1.0)  # two partitions: 0 and 1


def test_no_count_is_lost_between_threads(metrics: Metrics) -> None:
    def add() -> None:
        for _ in range(2_000):
            metrics.chunk(0, 0, 1, 1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.series.number("events_consumed_total", ("clicks",)) == 8_000


def test_page_is_up_to_date(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    monkeypatch.chdir(pytestconfig.rootpath)
    assert metrics_table.main(["--check"]) == 0
    for metric in METRICS:
        assert f"`{PREFIX}{metric.name}`" in page()


def test_stale_page_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    assert metrics_table.main(["--check"]) == 1
    assert "metrics_table" in capsys.readouterr().out
    assert metrics_table.main([]) == 0
    assert metrics_table.main(["--check"]) == 0
