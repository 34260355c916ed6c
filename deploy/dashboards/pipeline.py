"""An event's way: fetched, merged, applied, committed; the group, the restore, the process."""

from typing import Final

from deploy.dashboards.dashboard import Dashboard, Row
from deploy.dashboards.health import HEALTHY
from deploy.dashboards.panel import GREEN, RED, WORKERS, YELLOW, Panel, Query, per_second, quantile

STAGE: Final = f'{WORKERS}, stage=~"decode|order|state|inference|encode|produce|commit"'

IN: Final = Row(
    "Coming in",
    (
        Panel(
            "Events in",
            "`forecart_events_consumed_total` by topic.",
            (Query(per_second("events_consumed_total", "topic"), "{{topic}}"),),
            unit="eps", width=6, stacked=True, no_value="no worker",
        ),
        Panel(
            "Bytes in",
            "`forecart_bytes_consumed_total` by topic, as fetched (compressed).",
            (Query(per_second("bytes_consumed_total", "topic"), "{{topic}}"),),
            unit="Bps", width=6, stacked=True, no_value="no worker",
        ),
        Panel(
            "Waiting in the worker",
            "Events fetched and not committed: `forecart_events_in_flight`. Full buffers are normal"
            " while it catches up.",
            (Query(f"sum by (instance) (forecart_events_in_flight{{{WORKERS}}})", "{{instance}}"),),
            width=6, no_value="no worker",
        ),
        Panel(
            "Held back",
            "Share of time for which a partition was not fetched, because its buffer was full:"
            " `forecart_paused_seconds_total`, by worker, summed over partitions.",
            (Query(per_second("paused_seconds_total", "instance"), "{{instance}}"),),
            unit="percentunit", width=6, no_value="no worker",
        ),
        Panel(
            "Age of events",
            "By their own time, when applied: `forecart_event_age_seconds`. High with a low lag:"
            " the source is late. Years in a replay, and no alert looks at it.",
            (Query(f"max by (topic) (forecart_event_age_seconds{{{WORKERS}}})", "{{topic}}"),),
            unit="s", width=6, minimum=None, no_value="no worker",
        ),
        Panel(
            "Since the newest event",
            "Now minus the highest event time applied: `forecart_watermark_lag_seconds`. Grows"
            " while a topic is silent. Runbook SourceSilent.",
            (Query(f"min by (topic) (forecart_watermark_lag_seconds{{{WORKERS}}})", "{{topic}}"),),
            unit="s", width=6, minimum=None, no_value="no worker",
        ),
        Panel(
            "Merge given up",
            "Times a second that rows went on without this topic, known to be behind:"
            " `forecart_merge_holds_over_total`. Their order by event time is lost. Runbook"
            " MergeGivesUp.",
            (Query(per_second("merge_holds_over_total", "topic"), "{{topic}}"),),
            unit="cps", width=6, no_value="no worker",
        ),
        Panel(
            "Behind by, worst partitions",
            "The ten partitions that are furthest behind: `forecart_consumer_lag_records`. One"
            " alone: a busy user or a skewed key.",
            (Query("topk(10, max by (topic, partition)"
                   f" (forecart_consumer_lag_records{{{WORKERS}}}))",
                   "{{topic}}[{{partition}}]"),),
            width=6, no_value="no worker",
        ),
    ),
)  # fmt: skip

STAGES: Final = Row(
    "Working",
    (
        Panel(
            "Time of a batch in each stage, mean",
            "`forecart_stage_duration_seconds`: sum by count. `commit` is of a transaction.",
            (Query(f"{per_second('stage_duration_seconds_sum', 'stage', STAGE)}"
                   f" / {per_second('stage_duration_seconds_count', 'stage', STAGE)}",
                   "{{stage}}"),),
            unit="s", no_value="no events",
        ),
        Panel(
            "Time of a batch in each stage, 99 of 100",
            "`forecart_stage_duration_seconds`. A batch may take 4 s, a commit 8 s, then the worker"
            " stops (codes 20 and 18).",
            (Query(quantile(0.99, "stage_duration_seconds", STAGE, "stage"), "{{stage}}"),),
            unit="s", steps=((None, GREEN), (4, YELLOW), (8, RED)), no_value="no events",
        ),
        Panel(
            "Latency, all of it",
            "How many predictions took how long from receipt to commit:"
            " `forecart_processing_latency_seconds`. Two bands: two kinds of batches, say while a"
            " partition is restored.",
            (Query(f"sum by (le) (increase(forecart_processing_latency_seconds_bucket{{{WORKERS}}}"
                   "[$__rate_interval]))", "{{le}}"),),
            kind="heatmap", unit="s", no_value="no predictions",
        ),
        Panel(
            "End to end, half are faster",
            "From event time to committed: `forecart_e2e_latency_seconds`. Holds what the source"
            " took; the highest edge in a replay.",
            (Query(quantile(0.5, "e2e_latency_seconds"), "half are faster"),),
            unit="s", no_value="no predictions",
        ),
        Panel(
            "Transactions",
            "`forecart_transactions_total` by outcome. All but `committed` ended a worker; the"
            " next one tells of it. Runbook TransactionsAborting.",
            (Query(per_second("transactions_total", "outcome"), "{{outcome}}"),),
            unit="cps", no_value="no worker",
        ),
        Panel(
            "Time of a commit",
            "`forecart_transaction_duration_seconds`: the broker's answer. Slow: look at the"
            " broker's disk and at `min.insync.replicas`.",
            (
                Query(quantile(0.5, "transaction_duration_seconds"), "half are faster"),
                Query(quantile(0.99, "transaction_duration_seconds"), "99 of 100 are faster"),
            ),
            unit="s", steps=((None, GREEN), (8, RED)), no_value="no commits",
        ),
    ),
)  # fmt: skip

GROUP: Final = Row(
    "Sharing and restoring",
    (
        Panel(
            "Partitions of each worker",
            "`forecart_assigned_partitions`. Their sum below the number of partitions for minutes:"
            " runbook PartitionsUnowned.",
            (Query(f"sum by (instance) (forecart_assigned_partitions{{{WORKERS}}})",
                   "{{instance}}"),),
            width=5, stacked=True, no_value="no worker",
        ),
        Panel(
            "Rebalances in 15 minutes",
            "`forecart_rebalances_total` by worker. Runbook RebalanceStorm from 4.",
            (Query(f"sum by (instance) (increase(forecart_rebalances_total{{{WORKERS}}}[15m]))",
                   "{{instance}}"),),
            width=5, steps=((None, GREEN), (4, RED)), no_value="no worker",
        ),
        Panel(
            "Records to restore",
            "Changelog records that are still to be read: `forecart_recovery_remaining_records`."
            " Must fall. Runbook RecoveryStuck.",
            (Query(f"sum by (instance) (forecart_recovery_remaining_records{{{WORKERS}}})",
                   "{{instance}}"),),
            width=5, no_value="no worker",
        ),
        Panel(
            "Pause of a rebalance or restore",
            "Mean time without rows, since the worker's start:"
            " `forecart_rebalance_duration_seconds` and `forecart_recovery_duration_seconds`.",
            (
                Query(f"sum(forecart_rebalance_duration_seconds_sum{{{WORKERS}}})"
                      f" / (sum(forecart_rebalance_duration_seconds_count{{{WORKERS}}}) > 0)",
                      "rebalance"),
                Query(f"sum(forecart_recovery_duration_seconds_sum{{{WORKERS}}})"
                      f" / (sum(forecart_recovery_duration_seconds_count{{{WORKERS}}}) > 0)",
                      "restore"),
            ),
            unit="s", width=5, no_value="none yet",
        ),
        Panel(
            "Records restored",
            "Changelog records read: `forecart_recovery_records_total`.",
            (Query(per_second("recovery_records_total", "instance"), "{{instance}}"),),
            unit="cps", width=4, no_value="no worker",
        ),
    ),
)  # fmt: skip

PROCESS: Final = Row(
    "State and process",
    (
        Panel(
            "State in memory",
            "`forecart_state_bytes`. What `users_max` allows is the most it becomes.",
            (Query(f"sum by (instance) (forecart_state_bytes{{{WORKERS}}})", "{{instance}}"),),
            unit="bytes", width=5, stacked=True, no_value="no worker",
        ),
        Panel(
            "Users dropped",
            "`forecart_state_evictions_total` by reason. `capacity`: `users_max` is too small."
            " Runbook UsersEvicted.",
            (Query(per_second("state_evictions_total", "reason"), "{{reason}}"),),
            unit="cps", width=5, no_value="no worker",
        ),
        Panel(
            "CPU",
            "Cores in use: `process_cpu_seconds_total`.",
            (Query(f"sum by (instance) (rate(process_cpu_seconds_total{{{WORKERS}}}"
                   "[$__rate_interval]))", "{{instance}}"),),
            width=5, no_value="no worker",
        ),
        Panel(
            "Memory",
            "`process_resident_memory_bytes`.",
            (Query(f"sum by (instance) (process_resident_memory_bytes{{{WORKERS}}})",
                   "{{instance}}"),),
            unit="bytes", width=5, no_value="no worker",
        ),
        Panel(
            "Event loop wakes late by",
            "`forecart_event_loop_lag_seconds`. Above a second: heartbeats may be missed, and the"
            " group gives partitions away.",
            (Query(f"max by (instance) (forecart_event_loop_lag_seconds{{{WORKERS}}})",
                   "{{instance}}"),),
            unit="s", width=4, steps=((None, GREEN), (1, RED)), no_value="no worker",
        ),
    ),
)  # fmt: skip

PIPELINE: Final = Dashboard(
    "forecart-pipeline",
    "Forecart: Pipeline",
    "Each stage of an event's way, the group, the restore, the process.",
    (HEALTHY, IN, STAGES, GROUP, PROCESS),
)
