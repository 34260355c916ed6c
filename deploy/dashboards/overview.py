"""The first page: healthy or not, how far behind, why, with which model, on what device."""

from typing import Final

from deploy.dashboards.dashboard import Dashboard, Row
from deploy.dashboards.health import BARS, HEALTHY, NEARLY_ALL
from deploy.dashboards.panel import GREEN, RED, WORKERS, Panel, Query, per_second, quantile

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
    "Why slow? The part that is busy near 100 % of the time holds up the others",
    (
        Panel(
            "Busy now, of 100 % each",
            "A worker's three parts work at the same time: each may be busy for up to 100 % of it,"
            " and one that is, red, holds up the others. Stages of"
            " `forecart_stage_duration_seconds`, of the busiest worker: decode; order, state,"
            " queue, encode and produce (engine); commit. The bar below the engine's is `queue`:"
            " where it is most of the engine's, the model is slow. All low and still slow: it waits"
            " for the commit interval, for a topic, or for Kafka to deliver. Runbook"
            " LatencyBurnsFast says what to do for each.",
            BARS,
            kind="bargauge", unit="percentunit", width=6, maximum=1, decimals=0, steps=NEARLY_ALL,
            no_value="no worker",
        ),
        Panel(
            "Busy over time",
            "The same since when: `forecart_stage_duration_seconds`.",
            BARS,
            unit="percentunit", width=6, maximum=1, decimals=0, steps=((None, GREEN), (0.85, RED)),
            no_value="no worker",
        ),
        Panel(
            "Latency",
            "From receipt to committed: `forecart_processing_latency_seconds`. The line is the"
            " objective.",
            (
                Query(quantile(0.5, "processing_latency_seconds"), "half are faster"),
                Query(quantile(0.99, "processing_latency_seconds"), "99 of 100 are faster"),
            ),
            unit="s", width=6, steps=((None, GREEN), (1, RED)), no_value="no predictions",
        ),
        Panel(
            "What each worker does",
            "`forecart_worker_state`: starting, rebalancing, restoring, running, draining or"
            " stopping.",
            (Query(f"forecart_worker_state{{{WORKERS}}} == 1", "{{instance}} {{state}}"),),
            kind="state-timeline", width=6, words=((1, "yes", GREEN),), no_value="no worker",
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
