"""Every metric there is: name, kind, unit, labels, buckets, meaning. docs/metrics.md is made of it.

Rules of the room: base units; counters end in _total, facts in _info; labels only from closed sets,
never a user or an item (OPEN marks a label that names a model or a build: few values, bounded);
a histogram has an edge at each threshold that a rule or target names. Names stand without PREFIX.

`python -m stream.shell.metrics_table` writes docs/metrics.md; with `--check` it only compares.
"""

import sys
from pathlib import Path
from typing import Final, Literal, NamedTuple

from stream.core.layout import TOPICS, AlertState, Level, Outcome, Reason
from stream.flow.observe import (
    COMMIT_OUTCOMES,
    EVICTIONS,
    INFERENCE_FAILURES,
    PRODUCE_ERRORS,
    PURPOSES,
    RELOAD_OUTCOMES,
    STAGES,
    WORKER_STATES,
)
from stream.flow.stops import exit_codes
from stream.settings import PROVIDERS

PREFIX: Final = "forecart_"
PAGE: Final = Path("docs/metrics.md")
Kind = Literal["counter", "gauge", "histogram"]
Labels = dict[str, tuple[str, ...]]

OPEN: Final[tuple[str, ...]] = ()  # values come as they come; no child at start
PARTITION: Final = ("partition",)  # stands for 0 .. partitions - 1
OUTPUTS: Final = (
    "predictions", "churn-alerts", "dead-letters", "intake-receipts", "erasure-receipts",
    "user-state",
)  # fmt: skip
OUTCOMES: Final = tuple(outcome.name.lower() for outcome in Outcome)
REASONS: Final = tuple(reason.name.lower() for reason in Reason if reason)
TRANSITIONS: Final = tuple(state.name.lower() for state in AlertState)
SEVERITIES: Final = tuple(level.name.lower() for level in Level)
HEADS: Final = ("purchase", "churn")
CODES: Final = tuple(str(code) for code in exit_codes())

# 1.0 s is the latency objective; 0.55 the target at the default commit interval of 0.5 s.
LATENCY_S: Final = (
    *(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.55, 0.75, 1.0),
    *(1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
# 4 and 8 s are the default deadlines of a batch and of a commit, 10 s that of a transaction.
STAGE_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.0, 4.0, 8.0, 10.0),
)
LONG_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0)
BATCH_ROWS: Final = (1.0, 8.0, 32.0, 128.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 65536.0)
SCORE: Final = (
    0.05,
    0.1,
    0.2,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    0.95,
    1.0,
)  # 0.5, 0.7, 0.9: churn
DIFFERENCE: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Metric(NamedTuple):
    """One row of the table."""

    group: str
    name: str  # as exposed, without PREFIX
    kind: Kind
    unit: str
    help: str
    labels: Labels
    buckets: tuple[float, ...]  # upper edges, +Inf left out; only of a histogram


def _counter(group: str, name: str, unit: str, text: str, **labels: tuple[str, ...]) -> Metric:
    return Metric(group, name, "counter", unit, text, labels, ())


def _gauge(group: str, name: str, unit: str, text: str, **labels: tuple[str, ...]) -> Metric:
    return Metric(group, name, "gauge", unit, text, labels, ())


def _histogram(
    group: str,
    name: str,
    unit: str,
    buckets: tuple[float, ...],
    text: str,
    **labels: tuple[str, ...],
) -> Metric:
    return Metric(group, name, "histogram", unit, text, labels, buckets)


METRICS: Final = (
    _counter("intake", "events_consumed_total", "events", "Events fetched.", topic=TOPICS),
    _counter(
        *("intake", "events_processed_total", "events"),
        "Events applied, by what became of them.",
        topic=TOPICS,
        outcome=OUTCOMES,
    ),
    _counter("intake", "bytes_consumed_total", "bytes", "Bytes of fetched chunks.", topic=TOPICS),
    _gauge("intake", "events_in_flight", "events", "Events fetched and not yet committed."),
    _counter(
        *("intake", "dead_letters_total", "events"),
        "Events that went to the dead letters.",
        topic=TOPICS,
        reason=REASONS,
    ),
    _gauge(
        *("intake", "event_age_seconds", "seconds"),
        "Age by event time of the newest event of the last batch, when it was applied.",
        topic=TOPICS,
    ),
    _gauge(
        *("intake", "watermark_lag_seconds", "seconds"),
        "Now minus the highest event time applied; grows while the topic is silent. 0: none yet.",
        topic=TOPICS,
    ),
    _counter(
        *("intake", "merge_holds_over_total", "holds"),
        "Times that rows went on without this topic, known to be behind: order by time is lost.",
        topic=TOPICS,
        partition=PARTITION,
    ),
    _histogram(
        *("latency", "processing_latency_seconds", "seconds", LATENCY_S),
        "From receipt of an event's chunk until its prediction is committed.",
    ),
    _histogram(
        *("latency", "e2e_latency_seconds", "seconds", LATENCY_S),
        "From event time until the prediction is committed; years in a replay.",
    ),
    _histogram(
        *("latency", "stage_duration_seconds", "seconds", STAGE_S),
        "Time of one batch (commit: of one transaction) in a stage.",
        stage=STAGES,
    ),
    _gauge(
        *("consumer", "consumer_lag_records", "records"),
        "Last stable offset minus committed offset; 0 for a partition of another worker.",
        topic=TOPICS,
        partition=PARTITION,
    ),
    _gauge(
        *("consumer", "consumer_lag_seconds", "seconds"),
        "Age, by record timestamp, of the oldest record fetched and not yet applied; else 0.",
        topic=TOPICS,
        partition=PARTITION,
    ),
    _gauge(
        "consumer", "assigned_partitions", "partitions", "Partition numbers that this worker has."
    ),
    _counter("consumer", "rebalances_total", "rebalances", "Rebalances this worker took part in."),
    _histogram(
        *("consumer", "rebalance_duration_seconds", "seconds", LONG_S),
        "From revoke until rows flow again.",
    ),
    _counter(
        *("consumer", "paused_seconds_total", "seconds"),
        "Time for which partitions were held back: full buffer, or too many dead letters.",
    ),
    _counter(
        *("transactions", "transactions_total", "transactions"),
        "Transactions by how they ended.",
        outcome=COMMIT_OUTCOMES,
    ),
    _histogram(
        *("transactions", "transaction_duration_seconds", "seconds", STAGE_S),
        "From the start of a commit until the broker has confirmed it.",
    ),
    _histogram(
        *("inference", "inference_batch_size", "rows", BATCH_ROWS),
        "Rows scored in one call of the model.",
    ),
    _counter("inference", "inference_steps_total", "steps", "LSTM steps run, padding left out."),
    _counter(
        *("inference", "inference_padded_steps_total", "steps"),
        "LSTM steps run only to fill a call: segments of unlike length in one.",
    ),
    _counter(
        *("inference", "inference_failures_total", "calls"),
        "Calls of the model that failed.",
        reason=INFERENCE_FAILURES,
    ),
    _gauge(
        *("inference", "model_info", "1"),
        "1 for the model that scores.",
        version=OPEN,
        sha256=OPEN,
        provider=OPEN,
        precision=OPEN,
    ),
    _gauge(
        *("inference", "provider_wanted", "1"),
        "1 for the value of the setting `provider`, 0 for the others.",
        provider=PROVIDERS,
    ),
    _gauge("inference", "provider_degraded", "1", "1 after a switch from CUDA to the CPU session."),
    _counter("inference", "provider_fallbacks_total", "switches", "Switches from CUDA to the CPU."),
    _counter(
        *("inference", "model_reloads_total", "attempts"),
        "Attempts to swap the model.",
        outcome=RELOAD_OUTCOMES,
    ),
    _gauge(
        *("inference", "model_behind", "1"),
        "1 while the control topic names another model than the one that scores.",
    ),
    _gauge(
        *("inference", "candidate", "1"),
        "1 while a model runs beside the one that scores, by what for.",
        purpose=PURPOSES,
    ),
    _gauge(
        *("inference", "candidate_warm_ratio", "ratio"),
        "Share of the last batches' users whose state the candidate has.",
    ),
    _histogram(
        *("inference", "promotion_duration_seconds", "seconds", STAGE_S),
        "Time for which batches waited while the model was changed.",
    ),
    _histogram(
        *("inference", "shadow_agreement_ratio", "ratio", SCORE),
        "By prediction: share of the item list that the shadow's list has too.",
    ),
    _histogram(
        *("inference", "shadow_purchase_difference", "ratio", DIFFERENCE),
        "By prediction: difference of the purchase probability, shadow against active.",
    ),
    _histogram(
        *("inference", "shadow_next_event_divergence", "nats", DIFFERENCE),
        "By prediction: Kullback-Leibler divergence of the next event, from active to shadow.",
    ),
    _counter(
        *("inference", "shadow_scoring_seconds_total", "seconds"),
        "Time that each took for the batches that both scored; their ratio is the shadow's cost.",
        model=("active", "shadow"),
    ),
    _counter(
        *("outputs", "predictions_total", "predictions"),
        "Predictions published.",
        model_version=OPEN,
    ),
    _histogram(
        *("outputs", "prediction_score", "ratio", SCORE),
        "Probabilities of scored events; churn only with enough history.",
        head=HEADS,
    ),
    _counter(
        *("outputs", "alerts_total", "alerts"),
        "Published transitions of churn alerts, by the state entered.",
        transition=TRANSITIONS,
        severity=SEVERITIES,
    ),
    _gauge("outputs", "alerts_open", "alerts", "Alerts that are firing.", severity=SEVERITIES[1:]),
    _counter(
        *("outputs", "produce_errors_total", "records"),
        "Records that an output topic did not take at once.",
        topic=OUTPUTS,
        reason=PRODUCE_ERRORS,
    ),
    _gauge("state", "state_users", "users", "Users held in memory."),
    _gauge("state", "state_bytes", "bytes", "Bytes of user state in memory."),
    _counter(
        *("state", "state_evictions_total", "users"),
        "Users whose state was dropped.",
        reason=EVICTIONS,
    ),
    _gauge("state", "recovery_remaining_records", "records", "Changelog records still to restore."),
    _counter("state", "recovery_records_total", "records", "Changelog records restored."),
    _histogram(
        *("state", "recovery_duration_seconds", "seconds", LONG_S),
        "From assignment of a partition until its state is restored.",
    ),
    _gauge(
        *("process", "worker_state", "1"),
        "1 for what the worker is doing, 0 for the rest.",
        state=WORKER_STATES,
    ),
    _counter(
        *("process", "stops_total", "stops"),
        "Failures that ended this worker, by exit code; kept in `state_dir` over restarts.",
        code=CODES,
    ),
    _gauge("process", "ready", "1", "1 while /readyz answers 200."),
    _gauge(
        *("process", "event_loop_lag_seconds", "seconds"),
        "By how much the event loop woke late, last measured.",
    ),
    _gauge("process", "build_info", "1", "1 for the version that runs.", version=OPEN, python=OPEN),
    _gauge(
        *("gpu", "gpu_utilization_ratio", "ratio"),
        "Share of the last moments in which the GPU worked; no sample without GPU and driver.",
        gpu=OPEN,
    ),
    _gauge("gpu", "gpu_memory_used_bytes", "bytes", "Memory in use on the GPU.", gpu=OPEN),
    _gauge("gpu", "gpu_memory_total_bytes", "bytes", "Memory of the GPU.", gpu=OPEN),
    _gauge("gpu", "gpu_power_watts", "watts", "Power that the GPU draws.", gpu=OPEN),
)


def page() -> str:
    """Write the reference page."""
    lines = [
        "# Metrics",
        "",
        "Made by `python -m stream.shell.metrics_table` from the table in that file; do not edit.",
        "Served on `/metrics` (setting `web_port`), beside Python's own `process_*`.",
    ]
    for group in dict.fromkeys(metric.group for metric in METRICS):
        lines += ["", f"## {group.capitalize()}", ""]
        lines += ["| name | kind | unit | labels | meaning |", "|---|---|---|---|---|"]
        for metric in METRICS:
            if metric.group == group:
                labels = "<br>".join(_label(name, metric.labels[name]) for name in metric.labels)
                edges = ", ".join(f"{edge:g}" for edge in metric.buckets)
                text = metric.help + (f" Edges: {edges}." if edges else "")
                lines.append(
                    f"| `{PREFIX}{metric.name}` | {metric.kind} | {metric.unit} "
                    f"| {labels} | {text} |"
                )
    return "\n".join(lines) + "\n"


def _label(name: str, values: tuple[str, ...]) -> str:
    if values == PARTITION:
        return f"{name}: 0 .. partitions - 1"
    return f"{name}: {', '.join(values)}" if values else name


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it. Returns the exit status."""
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == page():
            return 0
        print(f"{PAGE} is not what the table says: run python -m stream.shell.metrics_table")
        return 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
