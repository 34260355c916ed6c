"""The oracle's events as the arrays that the engine takes, and the engine's as the oracle's."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from stream.core.layout import EVENT, STEP, Record
from stream.core.results import Batch
from tests.oracle.records import Event, Step

_COPIED = (
    *("offset", "timestamp_ms", "time_ms", "event_id", "channel", "device", "region"),
    *("topic", "event_type", "reason", "flags"),
)


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
        for name in _COPIED:
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


def events_of(batch: Batch) -> list[Event]:
    """Return a batch's rows as events: what the decoder made, for the oracle."""
    events: list[Event] = []
    for row in batch.events:
        first = int(row["step_first"])
        steps = batch.steps[first : first + int(row["steps_count"])]
        user = int(row["user"])
        events.append(
            Event(
                user=None if user < 0 else batch.users[user],
                steps=tuple(step_of(step) for step in steps),
                **{name: int(row[name]) for name in _COPIED},
            )
        )
    return events


def step_of(step: Record) -> Step:
    """Return one STEP record as a step."""
    values = {name: int(step[name]) for name in Step._fields if name != "tokens"}
    return Step(tokens=tuple(step["tokens"].tolist()), **values)
