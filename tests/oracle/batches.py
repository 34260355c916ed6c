"""The oracle's events as the arrays that the engine takes, and the engine's as the oracle's."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from stream.core.layout import EVENT, STEP
from stream.core.results import Batch
from tests.oracle.records import Event, Step


def batch_of(events: Sequence[Event]) -> Batch:
    """Lay events out as one batch, users numbered by first appearance."""
    users: dict[bytes, int] = {}
    rows = np.zeros(len(events), EVENT)
    steps: list[Step] = []
    for row, event in zip(rows, events, strict=True):
        user = -1 if event.user is None else users.setdefault(event.user, len(users))
        row["user"] = user
        row["step_first"] = len(steps)
        row["steps_count"] = len(event.steps)
        for name in (
            *("offset", "timestamp_ms", "time_ms", "event_id", "channel", "device", "region"),
            *("topic", "event_type", "reason", "flags"),
        ):
            row[name] = getattr(event, name)
        steps.extend(event.steps)
    return Batch(rows, steps_array(steps), list(users))


def steps_array(steps: Sequence[Step]) -> np.ndarray:
    """Return STEP records of steps."""
    array = np.zeros(len(steps), STEP)
    for row, step in zip(array, steps, strict=True):
        for name, value in step._asdict().items():
            row[name] = value
    return array


def batches_of(events: Sequence[Event], cuts: Sequence[int]) -> list[Batch]:
    """Cut a stream before each of the given rows."""
    edges = [0, *sorted(cuts), len(events)]
    return [batch_of(events[first:last]) for first, last in pairwise(edges) if first < last]
