"""The job that every rival in Python is given, as plain functions of plain values.

Rules of the room: the standard library only, as each rival brings its own environment. Per user the
last 32 steps and counts by event type; per event one prediction of the card's size. No duplicates
are found, nothing is put in order, no model is asked: less than what Forecart does.
"""

import json
import sys
from typing import Any

STEPS_MAX = 32  # W of the card
INPUTS = ("clicks", "searches", "purchases")
COMMIT_S = 0.5  # as Forecart's
PREDICTION_REST_BYTES = 190  # of a prediction without its padding

State = dict[str, Any]
Prediction = dict[str, Any]


def case_of_arguments() -> dict[str, Any]:
    """Read the case that the contender's module passed on."""
    case: dict[str, Any] = json.loads(sys.argv[-1])
    return case


def padding(case: dict[str, Any]) -> str:
    """Make what brings a prediction to the size of Forecart's."""
    return "x" * (case["card"]["prediction_bytes"] - PREDICTION_REST_BYTES)


def step(state: State | None, event: dict[str, Any], pad: str) -> tuple[State, Prediction]:
    """Take an event into its user's state, and say what is told of it. About 400 bytes of JSON."""
    kind = event["event_type"]
    if kind == "click":
        what = event["item_id"]
    elif kind == "search":
        what = event["query"][:6]
    else:
        what = event["items"][0]["item_id"]
    if state is None:
        state = {"count": 0, "clicks": 0, "searches": 0, "purchases": 0, "last_ms": 0, "steps": []}
    time_ms = event["event_time"]
    gap_ms = time_ms - state["last_ms"] if state["count"] else 0
    count = state["count"] + 1
    after = {
        "count": count,
        "clicks": state["clicks"] + (kind == "click"),
        "searches": state["searches"] + (kind == "search"),
        "purchases": state["purchases"] + (kind == "purchase"),
        "last_ms": max(time_ms, state["last_ms"]),
        "steps": [*state["steps"][1 - STEPS_MAX :], what + kind[0]],
    }
    prediction = {
        "event_id": event["event_id"],
        "user_id": event["user_id"],
        "as_of": time_ms,
        "user_seq": count,
        "gap_ms": gap_ms,
        "next_event": {
            "click": round(after["clicks"] / count, 6),
            "search": round(after["searches"] / count, 6),
            "purchase": round(after["purchases"] / count, 6),
        },
        "window_length": len(after["steps"]),
        "padding": pad,
    }
    return after, prediction
