"""The model: which one, on what device, how fast; its change, its shadow, the GPU."""

from typing import Final

from deploy.dashboards.dashboard import Dashboard, Row
from deploy.dashboards.health import HEALTHY
from deploy.dashboards.panel import (
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

WHICH: Final = Row(
    "Which model, on what device?",
    (
        Panel(
            "Model of each worker",
            "`forecart_model_info`. Two versions for minutes: runbook ModelBehind.",
            (Query(f"forecart_model_info{{{WORKERS}}}"),),
            kind="table", width=12, height=6, no_value="no worker",
            columns=("instance", "version", "provider", "precision"),
        ),
        Panel(
            "Wanted device",
            "The setting `provider`: `forecart_provider_wanted`.",
            (Query(f"sum by (provider) (forecart_provider_wanted{{{WORKERS}}}) > 0",
                   "{{provider}}"),),
            kind="stat", width=3, height=6, text="name", no_value="no worker",
        ),
        Panel(
            "CUDA given up",
            "Workers that went from CUDA to the CPU after an error:"
            " `forecart_provider_degraded`. They stay there until restarted. Runbook ScoringOnCpu.",
            (Query(f"sum(forecart_provider_degraded{{{WORKERS}}})"),),
            kind="stat", width=3, height=6, steps=NONE_ALLOWED, no_value="no worker",
        ),
        Panel(
            "Behind the record",
            "Workers that do not serve the model that `model-control` names:"
            " `forecart_model_behind`. For seconds while it is warmed. Runbook ModelBehind.",
            (Query(f"sum(forecart_model_behind{{{WORKERS}}})"),),
            kind="stat", width=3, height=6, steps=((None, GREEN), (1, YELLOW)),
            no_value="no worker",
        ),
        Panel(
            "Failed calls in an hour",
            "`forecart_inference_failures_total`. Runbook InferenceFailing.",
            (Query(f"sum(increase(forecart_inference_failures_total{{{WORKERS}}}[1h]))"),),
            kind="stat", width=3, height=6, decimals=0, steps=NONE_ALLOWED, no_value="no worker",
        ),
    ),
)  # fmt: skip

FAST: Final = Row(
    "How fast?",
    (
        Panel(
            "Time of a call",
            "`forecart_stage_duration_seconds`, stage `inference`: steps, heads and item list of"
            " one batch.",
            (
                Query(quantile(0.5, "stage_duration_seconds", f'{WORKERS}, stage="inference"'),
                      "half are faster"),
                Query(quantile(0.99, "stage_duration_seconds", f'{WORKERS}, stage="inference"'),
                      "99 of 100 are faster"),
            ),
            unit="s", no_value="no events",
        ),
        Panel(
            "Time of a row",
            "Scoring seconds by rows scored: `forecart_stage_duration_seconds`, stage `inference`,"
            " by `forecart_inference_batch_size`.",
            (Query(per_second("stage_duration_seconds_sum",
                              labels=f'{WORKERS}, stage="inference"')
                   + f" / ({per_second('inference_batch_size_sum')} > 0)", "a row"),),
            unit="s", no_value="no events",
        ),
        Panel(
            "Rows in a call",
            "`forecart_inference_batch_size`. Small ones at a high rate: `batch_events_max` or"
            " `fetch_wait_ms` is small.",
            (
                Query(quantile(0.5, "inference_batch_size"), "half are smaller"),
                Query(quantile(0.95, "inference_batch_size"), "95 of 100 are smaller"),
            ),
            no_value="no events",
        ),
        Panel(
            "Steps",
            "LSTM steps a second: `forecart_inference_steps_total`. About two an event; more after"
            " a restore or a change of the model, until users are warm again.",
            (Query(per_second("inference_steps_total", "instance"), "{{instance}}"),),
            unit="cps", stacked=True, no_value="no worker",
        ),
        Panel(
            "Share of time spent scoring",
            "`forecart_stage_duration_seconds`, stage `inference`: near 1, the model is the"
            " bottleneck: fewer items (`items_top`), a smaller bundle, CUDA.",
            (Query(per_second("stage_duration_seconds_sum", "instance",
                              f'{WORKERS}, stage="inference"'), "{{instance}}"),),
            unit="percentunit", maximum=1, no_value="no worker",
        ),
        Panel(
            "Predictions by model",
            "`forecart_predictions_total` by version: a change of the model seen from outside.",
            (Query(per_second("predictions_total", "model_version"), "{{model_version}}"),),
            unit="eps", stacked=True, no_value="no predictions",
        ),
    ),
)  # fmt: skip

CHANGE: Final = Row(
    "Change of the model, and the shadow",
    (
        Panel(
            "Candidate",
            "1 while a model is warmed or runs as a shadow: `forecart_candidate`.",
            (Query(f"max by (purpose) (forecart_candidate{{{WORKERS}}})", "{{purpose}}"),),
            width=6, maximum=1, no_value="no worker",
        ),
        Panel(
            "Warm users of the candidate",
            "`forecart_candidate_warm_ratio`: it serves from `model_warm_share` on, or after"
            " `model_warm_s_max`.",
            (Query(f"min by (instance) (forecart_candidate_warm_ratio{{{WORKERS}}})",
                   "{{instance}}"),),
            unit="percentunit", width=6, maximum=1, no_value="no worker",
        ),
        Panel(
            "Changes and refusals",
            "`forecart_model_reloads_total` by outcome, in an hour. Refused: the log has the"
            " reason; `forecart model check FOLDER` says it too.",
            (Query(f"sum by (outcome) (increase(forecart_model_reloads_total{{{WORKERS}}}[1h]))",
                   "{{outcome}}"),),
            width=6, no_value="no worker",
        ),
        Panel(
            "Batches waited for a change",
            "Longest, about: `forecart_promotion_duration_seconds`.",
            (Query(f"histogram_quantile(1, sum by (le) (forecart_promotion_duration_seconds_bucket"
                   f"{{{WORKERS}}}))", "longest"),),
            unit="s", width=6, no_value="no change yet",
        ),
        Panel(
            "Shadow: same items",
            "Mean share of the item list that the shadow has too:"
            " `forecart_shadow_agreement_ratio`.",
            (Query(f"{per_second('shadow_agreement_ratio_sum')}"
                   f" / ({per_second('shadow_agreement_ratio_count')} > 0)", "same items"),),
            unit="percentunit", width=6, maximum=1, no_value="no shadow",
        ),
        Panel(
            "Shadow: purchase probability differs by",
            "`forecart_shadow_purchase_difference`.",
            (
                Query(quantile(0.5, "shadow_purchase_difference"), "half are closer"),
                Query(quantile(0.99, "shadow_purchase_difference"), "99 of 100 are closer"),
            ),
            width=6, no_value="no shadow",
        ),
        Panel(
            "Shadow: next event diverges by",
            "Kullback-Leibler divergence, nats: `forecart_shadow_next_event_divergence`.",
            (Query(quantile(0.5, "shadow_next_event_divergence"), "half are closer"),),
            width=6, no_value="no shadow",
        ),
        Panel(
            "Shadow: cost",
            "Its scoring time by that of the model that serves, for the same batches:"
            " `forecart_shadow_scoring_seconds_total`.",
            (Query(
                per_second("shadow_scoring_seconds_total", labels=f'{WORKERS}, model="shadow"')
                + " / ("
                + per_second("shadow_scoring_seconds_total", labels=f'{WORKERS}, model="active"')
                + " > 0)", "times"),),
            width=6, no_value="no shadow",
        ),
    ),
)  # fmt: skip

GPU: Final = Row(
    "GPU (empty where CUDA is not in use)",
    (
        Panel(
            "GPU at work",
            "`forecart_gpu_utilization_ratio`: share of moments in which a kernel ran.",
            (Query(f"max by (instance, gpu) (forecart_gpu_utilization_ratio{{{WORKERS}}})",
                   "{{instance}} GPU {{gpu}}"),),
            unit="percentunit", maximum=1, height=6, no_value="no GPU in use",
        ),
        Panel(
            "GPU memory",
            "`forecart_gpu_memory_used_bytes` of `forecart_gpu_memory_total_bytes`.",
            (
                Query(f"max by (instance, gpu) (forecart_gpu_memory_used_bytes{{{WORKERS}}})",
                      "{{instance}} GPU {{gpu}} used"),
                Query(f"max by (instance, gpu) (forecart_gpu_memory_total_bytes{{{WORKERS}}})",
                      "{{instance}} GPU {{gpu}} of"),
            ),
            unit="bytes", height=6, no_value="no GPU in use",
        ),
        Panel(
            "GPU power",
            "`forecart_gpu_power_watts`.",
            (Query(f"max by (instance, gpu) (forecart_gpu_power_watts{{{WORKERS}}})",
                   "{{instance}} GPU {{gpu}}"),),
            unit="watt", height=6, no_value="no GPU in use",
        ),
        Panel(
            "Switches from CUDA to the CPU",
            "`forecart_provider_fallbacks_total`, in an hour. Runbook ScoringOnCpu.",
            (Query(f"sum by (instance) (increase(forecart_provider_fallbacks_total{{{WORKERS}}}"
                   "[1h]))", "{{instance}}"),),
            width=12, height=6, steps=((None, GREEN), (1, RED)), no_value="no worker",
        ),
        Panel(
            "Failed calls by reason",
            "`forecart_inference_failures_total`: `cuda` was scored again on the CPU, `other` ended"
            " the worker (code 23).",
            (Query(per_second("inference_failures_total", "reason"), "{{reason}}"),),
            unit="cps", width=12, height=6, no_value="no worker",
        ),
    ),
)  # fmt: skip

MODEL: Final = Dashboard(
    "forecart-model",
    "Forecart: Model and GPU",
    "Which model scores, on what device, how fast; its change and its shadow.",
    (HEALTHY, WHICH, FAST, CHANGE, GPU),
)
