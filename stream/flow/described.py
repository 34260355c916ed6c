"""What is kept of one user, in words: for the command that shows it and for the live page."""

from typing import Any, Final

import numpy as np

from stream.core.counters import read_counts
from stream.core.layout import (
    ACTIONS,
    ALWAYS_LATER_MS,
    EVENT_TYPES,
    NEVER_MS,
    TOPICS,
    AlertState,
    Level,
    Records,
    Resolve,
)
from stream.wire.state import Header

WINDOWS: Final = ("1h", "24h", "7d")


def describe(row: Records, steps: Records, header: Header) -> dict[str, Any]:
    """Put a user's record and steps into words. Times are epoch ms; None where there is none."""
    due_ms = int(row["next_check_ms"])
    return {
        "watermark": _time(header.watermark_ms),
        "silence_seconds": (header.shop_ms - int(row["shop_last_ms"])) / 1000,
        "epoch": int(row["epoch"]),
        "predictions": int(row["user_seq"]),
        "steps_accepted": int(row["steps_count"]),
        "late_events": int(row["revision"]),
        "partition_seq": int(row["seq_last"]),
        "last_event_at": _time(row["time_last_ms"]),
        "last_event_at_by_type": {
            name: _time(row["type_time_ms"][code]) for code, name in enumerate(EVENT_TYPES)
        },
        "counters": _counters(row),
        "scores": {
            "next_event": {
                name: _chance(row["next_event"][code]) for code, name in enumerate(EVENT_TYPES)
            },
            "purchase": _chance(row["purchase"]),
            "churn": _chance(row["churn"]),
        },
        "alert": {
            "state": AlertState(int(row["alert_state"])).name.lower(),
            "level": Level(int(row["alert_level"])).name.lower(),
            "reason": Resolve(int(row["alert_reason"])).name.lower(),
            "transitions": int(row["alert_sequence"]),
            "silence_starts_at": _time(row["silence_start_ms"]),
            "fired_at": _time(row["fired_ms"]),
            "next_check_in_seconds": (
                (due_ms - header.shop_ms) / 1000 if due_ms < ALWAYS_LATER_MS else None
            ),
        },
        "window": [_step(step) for step in steps],
    }


def _counters(row: Records) -> dict[str, dict[str, dict[str, int]]]:
    sliding, tumbling = np.zeros(9, np.int64), np.zeros(9, np.int64)
    read_counts(row, int(row["time_last_ms"]), sliding, tumbling)
    return {
        kind: {
            name: dict(zip(WINDOWS, counts[3 * code : 3 * code + 3].tolist(), strict=True))
            for code, name in enumerate(EVENT_TYPES)
        }
        for kind, counts in (("sliding", sliding), ("tumbling", tumbling))
    }


def _step(step: Records) -> dict[str, Any]:
    source = int(step["source"])
    return {
        "time": int(step["time_ms"]),
        "type": EVENT_TYPES[int(step["event_type"])],
        "action": ACTIONS[int(step["action"])],
        "item": f"{int(step['item']):016x}" if step["item"] else None,
        "category": f"{int(step['category']):08x}" if step["category"] else None,
        "price_cents": int(step["price_cents"]) if step["price_cents"] >= 0 else None,
        "quantity": int(step["quantity"]),
        "tokens": [f"{int(token):04x}" for token in step["tokens"] if token],
        "event_id": f"{int(step['event_id']):016x}",
        "source": f"{TOPICS[source % 4]} {source // 4}",
    }


def _time(time_ms: Any) -> int | None:
    return int(time_ms) if NEVER_MS < time_ms < ALWAYS_LATER_MS else None


def _chance(value: Any) -> float | None:
    return round(float(value), 6) if value >= 0 else None
