"""The first page: healthy or not, how far behind, why, with which model, on what device."""

from typing import Final

from deploy.dashboards.dashboard import Dashboard, Row
from deploy.dashboards.panel import (
    BLUE,
    GREEN,
    NONE_ALLOWED,
    RED,
    WORKERS,
    YELLOW,
    Panel,
    Query,
    per_second,
    quantile,
)

TILE: Final = 4

HEALTHY: Final = Row(
    "Is it healthy?",
    (
        Panel(
            "Workers down",
            "Workers that Prometheus cannot reach: `up == 0`. Runbook WorkerDown.",
            (Query('count(up{job=~"$job"} == 0) or vector(0)'),),
            kind="stat", width=3, height=TILE, steps=NONE_ALLOWED,
        ),
        Panel(
            "Workers ready",
            "Workers whose /readyz answers 200: `forecart_ready`. One that restores or rebalances"
            " is not; one without partitions never is.",
            (Query(f"sum(forecart_ready{{{WORKERS}}})"),),
            kind="stat", width=3, height=TILE, steps=((None, RED), (1, GREEN)),
            no_value="no worker",
        ),
        Panel(
            "Alerts firing",
            "Operations alerts that fire now, of both severities: `ALERTS`. Which ones, and their"
            " runbooks: dashboard Alerts and data quality.",
            (Query('count(ALERTS{alertstate="firing", severity=~"page|ticket"}) or vector(0)'),),
            kind="stat", width=3, height=TILE, steps=NONE_ALLOWED,
        ),
        Panel(
            "Behind by",
            "Age of the oldest record that is fetched and not applied, the worst partition:"
            " `forecart_consumer_lag_seconds`. Runbook LagHigh from 60 s.",
            (Query(f"max(forecart_consumer_lag_seconds{{{WORKERS}}})"),),
            kind="stat", unit="s", width=3, height=TILE, decimals=1,
            steps=((None, GREEN), (10, YELLOW), (60, RED)), no_value="no worker",
        ),
        Panel(
            "Latency, 99 of 100",
            "From receipt of an event until its prediction is committed:"
            " `forecart_processing_latency_seconds`. The objective is 1 s. About the commit"
            " interval is as good as it gets.",
            (Query(quantile(0.99, "processing_latency_seconds")),),
            kind="stat", unit="s", width=3, height=TILE, decimals=2,
            steps=((None, GREEN), (0.75, YELLOW), (1, RED)), no_value="no predictions",
        ),
        Panel(
            "Too slow, last hour",
            "Share of predictions committed later than 1 s after receipt, of"
            " `forecart_processing_latency_seconds`; 1 % may be. Runbook LatencyBurnsFast.",
            (Query('max(job:forecart_latency_slow:ratio_rate1h{job=~"$job"})'),),
            kind="stat", unit="percentunit", width=3, height=TILE, decimals=2,
            steps=((None, GREEN), (0.01, YELLOW), (0.144, RED)), no_value="no predictions",
        ),
        Panel(
            "Scores with",
            "Device and version of the model in use: `forecart_model_info`. Behind that, dashboard"
            " Model and GPU.",
            (Query(f"sum by (provider, version) (forecart_model_info{{{WORKERS}}})",
                   "{{provider}}: {{version}}"),),
            kind="stat", width=6, height=TILE, shows_name=True, steps=((None, BLUE),),
            no_value="no worker",
        ),
    ),
)  # fmt: skip

BEHIND: Final = Row(
    "How far behind?",
    (
        Panel(
            "Behind by, seconds",
            "Age of the oldest record fetched and not applied, by topic:"
            " `forecart_consumer_lag_seconds`.",
            (Query(f"max by (topic) (forecart_consumer_lag_seconds{{{WORKERS}}})", "{{topic}}"),),
            unit="s", steps=((None, GREEN), (60, RED)), no_value="no worker",
        ),
        Panel(
            "Behind by, records",
            "Records not yet committed, by topic: `forecart_consumer_lag_records`. It goes up and"
            " down with each commit; what counts is whether it grows.",
            (Query(f"sum by (topic) (forecart_consumer_lag_records{{{WORKERS}}})", "{{topic}}"),),
            no_value="no worker",
        ),
        Panel(
            "In and out",
            "Events that came in (`forecart_events_consumed_total`) and predictions that went out"
            " (`forecart_predictions_total`). In above out for long: it falls behind.",
            (
                Query(per_second("events_consumed_total"), "events in"),
                Query(per_second("predictions_total"), "predictions out"),
            ),
            unit="eps", no_value="no worker",
        ),
    ),
)  # fmt: skip

WHY: Final = Row(
    "Why slow?",
    (
        Panel(
            "Where the time goes",
            "Share of the time that each stage works, mean of the workers:"
            " `forecart_stage_duration_seconds`; `queue` is waiting for scores, `commit` for the"
            " broker. A stage near 100 % is the bottleneck. Runbook LatencyBurnsFast says what to"
            " do for each.",
            (Query(f"avg by (stage) (rate(forecart_stage_duration_seconds_sum{{{WORKERS}}}"
                   "[$__rate_interval]))", "{{stage}}"),),
            unit="percentunit", no_value="no worker",
        ),
        Panel(
            "Latency",
            "From receipt to committed: `forecart_processing_latency_seconds`. The line is the"
            " objective.",
            (
                Query(quantile(0.5, "processing_latency_seconds"), "half are faster"),
                Query(quantile(0.99, "processing_latency_seconds"), "99 of 100 are faster"),
            ),
            unit="s", steps=((None, GREEN), (1, RED)), no_value="no predictions",
        ),
        Panel(
            "What each worker does",
            "`forecart_worker_state`: starting, rebalancing, restoring, running, draining or"
            " stopping.",
            (Query(f"forecart_worker_state{{{WORKERS}}} == 1", "{{instance}} {{state}}"),),
            kind="state-timeline", words=((1, "yes", GREEN),), no_value="no worker",
        ),
    ),
)  # fmt: skip

OUT: Final = Row(
    "What comes out?",
    (
        Panel(
            "What became of events",
            "`forecart_events_processed_total` by outcome. Dead letters: dashboard Alerts and data"
            " quality, and `forecart dlq list`.",
            (Query(per_second("events_processed_total", "outcome"), "{{outcome}}"),),
            unit="eps", stacked=True, no_value="no worker",
        ),
        Panel(
            "Churn alerts open",
            "Users whose alert is firing now, by severity: `forecart_alerts_open`.",
            (Query(f"sum by (severity) (forecart_alerts_open{{{WORKERS}}})", "{{severity}}"),),
            stacked=True, no_value="no worker",
        ),
        Panel(
            "Users in memory",
            "`forecart_state_users`, by worker.",
            (Query(f"sum by (instance) (forecart_state_users{{{WORKERS}}})", "{{instance}}"),),
            stacked=True, no_value="no worker",
        ),
    ),
)  # fmt: skip

OVERVIEW: Final = Dashboard(
    "forecart-overview",
    "Forecart: Overview",
    "Is it healthy, how far behind, why slow, which model, on what device.",
    (HEALTHY, BEHIND, WHY, OUT),
)
