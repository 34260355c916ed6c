"""Operations alerts, churn alerts, and what the data look like on the way in and out."""

from typing import Final

from deploy.dashboards.dashboard import Dashboard, Row
from deploy.dashboards.health import HEALTHY
from deploy.dashboards.panel import GREEN, RED, WORKERS, Panel, Query, per_second, quantile

OPERATIONS: Final = Row(
    "Operations alerts: look up the name under deploy/runbooks",
    (
        Panel(
            "Firing now",
            "`ALERTS` of this Prometheus. `page`: somebody is woken; `ticket`: in the morning."
            " Runbook: deploy/runbooks/NAME.md.",
            (Query('ALERTS{alertstate="firing", severity=~"page|ticket"}'),),
            kind="table", width=10, no_value="nothing fires",
            columns=("alertname", "severity", "instance", "topic", "head"),
        ),
        Panel(
            "Fired in this time",
            "`ALERTS` by name.",
            (Query('max by (alertname) (ALERTS{alertstate="firing", severity=~"page|ticket"})',
                   "{{alertname}}"),),
            kind="state-timeline", width=14, words=((1, "firing", RED),),
            no_value="nothing fired",
        ),
        Panel(
            "Workers ended by a failure",
            "`forecart_stops_total` by exit code, in the last hour; kept over restarts. The table"
            " in docs/operations.md has the codes. Runbook WorkerRestarting.",
            (Query(f"sum by (code) (increase(forecart_stops_total{{{WORKERS}}}[1h])) > 0",
                   "code {{code}}"),),
            width=10, no_value="none failed",
        ),
        Panel(
            "Latency budget, by window",
            "Share of predictions later than 1 s: `forecart_processing_latency_seconds`, recorded."
            " Lines: 3 % and 14.4 %, from where LatencyBurnsSlow and LatencyBurnsFast fire.",
            (
                Query('max(job:forecart_latency_slow:ratio_rate5m{job=~"$job"})', "5 minutes"),
                Query('max(job:forecart_latency_slow:ratio_rate30m{job=~"$job"})', "30 minutes"),
                Query('max(job:forecart_latency_slow:ratio_rate1h{job=~"$job"})', "1 hour"),
                Query('max(job:forecart_latency_slow:ratio_rate6h{job=~"$job"})', "6 hours"),
            ),
            unit="percentunit", width=14, steps=((None, GREEN), (0.03, "yellow"), (0.144, RED)),
            no_value="no predictions",
        ),
    ),
)  # fmt: skip

INPUT: Final = Row(
    "What comes in",
    (
        Panel(
            "Dead letters by reason",
            "`forecart_dead_letters_total`. `forecart dlq list` shows them. Runbook"
            " DeadLettersRising; `handler_error`: runbook RowsSetAside.",
            (Query(per_second("dead_letters_total", "reason") + " > 0", "{{reason}}"),),
            unit="eps", stacked=True, no_value="no dead letters",
        ),
        Panel(
            "Share of dead letters",
            "Of `forecart_events_processed_total`, by topic. DeadLettersRising from 5 %.",
            (Query(per_second("events_processed_total", "topic",
                              f'{WORKERS}, outcome="dead_lettered"')
                   + f" / ({per_second('events_processed_total', 'topic')} > 0)", "{{topic}}"),),
            unit="percentunit", steps=((None, GREEN), (0.05, RED)), no_value="no events",
        ),
        Panel(
            "Share of duplicates",
            "Of `forecart_events_processed_total`, by topic. A jump: the source sends again.",
            (Query(per_second("events_processed_total", "topic", f'{WORKERS}, outcome="duplicate"')
                   + f" / ({per_second('events_processed_total', 'topic')} > 0)", "{{topic}}"),),
            unit="percentunit", no_value="no events",
        ),
        Panel(
            "Events by topic, mean of 5 minutes",
            "`forecart_events_consumed_total`. A topic at zero: runbook SourceSilent.",
            (Query('sum by (topic) (job_topic:forecart_events_consumed:rate5m{job=~"$job"})',
                   "{{topic}}"),),
            unit="eps", no_value="no events",
        ),
        Panel(
            "Age of events",
            "By their own time: `forecart_event_age_seconds`. Years in a replay.",
            (Query(f"max by (topic) (forecart_event_age_seconds{{{WORKERS}}})", "{{topic}}"),),
            unit="s", minimum=None, no_value="no worker",
        ),
        Panel(
            "Since the newest event",
            "Now minus the highest event time: `forecart_watermark_lag_seconds`.",
            (Query(f"min by (topic) (forecart_watermark_lag_seconds{{{WORKERS}}})", "{{topic}}"),),
            unit="s", minimum=None, no_value="no worker",
        ),
    ),
)  # fmt: skip

SCORES: Final = Row(
    "What goes out",
    (
        Panel(
            "Mean score, hour and day",
            "`forecart_prediction_score`, recorded. ScoreShift fires when the hour is half as much"
            " again as the day before, or a third less.",
            (
                Query('max by (head) (job_head:forecart_prediction_score:mean1h{job=~"$job"})',
                      "{{head}}, hour"),
                Query('max by (head) (job_head:forecart_prediction_score:mean1d{job=~"$job"})',
                      "{{head}}, day"),
            ),
            unit="percentunit", no_value="no predictions",
        ),
        Panel(
            "Scores, middle and upper end",
            "`forecart_prediction_score` by head.",
            (
                Query(quantile(0.5, "prediction_score", by="head"), "{{head}}, half are below"),
                Query(quantile(0.9, "prediction_score", by="head"), "{{head}}, 9 of 10 are below"),
            ),
            unit="percentunit", maximum=1, no_value="no predictions",
        ),
        Panel(
            "Churn alerts open",
            "`forecart_alerts_open` by severity.",
            (Query(f"sum by (severity) (forecart_alerts_open{{{WORKERS}}})", "{{severity}}"),),
            stacked=True, no_value="no worker",
        ),
        Panel(
            "Churn alerts, transitions",
            "`forecart_alerts_total` by the state entered. Runbook AlertFlood.",
            (Query(per_second("alerts_total", "transition"), "{{transition}}"),),
            unit="cps", no_value="no worker",
        ),
        Panel(
            "Predictions without",
            "Share of events that got none, of `forecart_events_processed_total`: duplicates,"
            " dead letters, controls, forgotten, and while catching up coalesced.",
            (Query("1 - " + per_second("events_processed_total",
                                       labels=f'{WORKERS}, outcome="predicted"')
                   + f" / ({per_second('events_processed_total')} > 0)", "without"),),
            unit="percentunit", no_value="no events",
        ),
        Panel(
            "Versions that run",
            "`forecart_build_info`.",
            (Query(f"forecart_build_info{{{WORKERS}}}"),),
            kind="table", no_value="no worker", columns=("instance", "version", "python"),
        ),
    ),
)  # fmt: skip

QUALITY: Final = Dashboard(
    "forecart-quality",
    "Forecart: Alerts and data quality",
    "What fires, what comes in that cannot be used, what the scores look like.",
    (HEALTHY, OPERATIONS, INPUT, SCORES),
)
