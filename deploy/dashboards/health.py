"""The strip at the top of every page: healthy, how far behind, how slow and why, on what."""

from typing import Final

from deploy.dashboards.dashboard import Row
from deploy.dashboards.panel import (
    BLUE,
    GREEN,
    NONE_ALLOWED,
    RED,
    WORKERS,
    YELLOW,
    Panel,
    Query,
    Step,
    quantile,
)

TILE: Final = 4


def _busy(stages: str) -> str:
    """Ask for the share of time that a part of the busiest worker works; its stages: one thread."""
    rate = (
        f'rate(forecart_stage_duration_seconds_sum{{{WORKERS}, stage=~"{stages}"}}'
        "[$__rate_interval])"
    )
    return f"max(sum by (instance) ({rate}))"


# Each has a thread of its own, so that each may be busy all the time while the others are. Engine
# and model partly take turns, and neither alone comes near 100 %: the engine's waiting is its own.
_STAGES: Final = {
    "decoding": "decode",
    "engine": "order|state|queue|encode|produce",
    "commit (Kafka)": "commit",
}
PARTS: Final = tuple(Query(_busy(stages), part) for part, stages in _STAGES.items())
BARS: Final = (*PARTS[:2], Query(_busy("queue"), "of it for the model"), *PARTS[2:])
BUSIEST: Final = Query(
    "topk(1, "
    + " or ".join(f'label_replace({q.expr}, "part", "{q.legend}", "", "")' for q in PARTS)
    + ")",
    "{{part}}",
)
NEARLY_ALL: Final[tuple[Step, ...]] = ((None, GREEN), (0.7, YELLOW), (0.85, RED))

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
            kind="stat", width=2, height=TILE, steps=NONE_ALLOWED,
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
            "Over 1 s, last hour",
            "Share of predictions committed later than 1 s after receipt, of"
            " `forecart_processing_latency_seconds`; 1 % may be. Runbook LatencyBurnsFast.",
            (Query('max(job:forecart_latency_slow:ratio_rate1h{job=~"$job"})'),),
            kind="stat", unit="percentunit", width=3, height=TILE, decimals=2,
            steps=((None, GREEN), (0.01, YELLOW), (0.144, RED)), no_value="no predictions",
        ),
        Panel(
            "Busiest part",
            "Of a worker's three parts, which work at the same time, the one that is busy for most"
            " of it: `forecart_stage_duration_seconds`. Red, near 100 %: it holds up the others."
            " All three: dashboard Overview. What to do: runbook LatencyBurnsFast.",
            (BUSIEST,),
            kind="stat", unit="percentunit", width=3, height=TILE, decimals=0,
            text="value_and_name", steps=NEARLY_ALL, no_value="no worker",
        ),
        Panel(
            "Scores with",
            "Device and version of the model in use: `forecart_model_info`. Behind that, dashboard"
            " Model and GPU.",
            (Query(f"sum by (provider, version) (forecart_model_info{{{WORKERS}}})",
                   "{{provider}}: {{version}}"),),
            kind="stat", width=4, height=TILE, text="name", steps=((None, BLUE),),
            no_value="no worker",
        ),
    ),
)  # fmt: skip
