"""What the engine is given and what it gives back, row by row."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.layout import EVENT, STEP, Records
from stream.core.plan import Plan, Scores

# What became of one row, in the order in which rows were applied.
ROW: Final = np.dtype(
    [
        ("partition_seq", "<i8"),  # from 1, without a gap, per partition
        ("offset", "<i8"),  # of the input record
        ("event_time_ms", "<i8"),  # of the event; NEVER_MS for a decoder's dead letter
        ("as_of_ms", "<i8"),  # the user's time_last_ms after the event; 0 unless predicted
        ("user_seq", "<i8"),  # 0 unless predicted
        ("user_epoch", "<i8"),  # 0 unless predicted
        ("window_digest", "<u8"),  # of the steps held after the event; 0 unless predicted
        ("source_first", "<i8"),  # duplicate: source (offset * 4 + topic) of the first; else -1
        ("supersedes", "<i8"),  # late: source of the user's prediction before; else -1
        ("revision", "<u4"),  # late insertions of the user so far, this one included
        ("user", "<i4"),  # index into Batch.users; -1: none
        ("scored", "<i4"),  # index into the scores of the same Settled; -1: not scored
        ("window_len", "u1"),  # steps held after the event
        ("topic", "u1"),
        ("outcome", "u1"),  # Outcome
        ("reason", "u1"),  # Reason, when dead-lettered
        ("late", "u1"),  # 1: event time before the user's newest
        ("churn_known", "u1"),  # 1: the user has enough history for a churn probability
    ]
)

# One published transition of a user's alert.
ALERT: Final = np.dtype(
    [
        ("partition_seq", "<i8"),  # of the row that caused it; for a sweep, of the last row before
        ("user_epoch", "<i8"),
        ("at_ms", "<i8"),  # event time (watermark) of the transition
        ("silence_start_ms", "<i8"),  # event time from which the episode's silence counts
        ("fired_ms", "<i8"),  # event time (watermark) when it fired
        ("silence_ms", "<i8"),  # shop time silent at the transition
        ("churn", "<f4"),  # probability at the transition
        ("sequence", "<u4"),  # of the user's transitions in this epoch, from 1
        ("key", "<i4"),  # index into Settled.alert_keys
        ("state", "u1"),  # AlertState
        ("previous_state", "u1"),
        ("level", "u1"),
        ("reason", "u1"),  # Resolve
        ("by_sweep", "u1"),  # 1: the clock caused it
    ]
)


@dataclass(slots=True)
class Batch:
    """Decoded rows of one partition number, in merged order. `events["user"]` indexes `users`."""

    events: Records  # (n,) EVENT
    steps: Records  # (m,) STEP; an event's steps are step_first .. step_first + steps_count
    users: list[bytes]  # distinct keys

    def __post_init__(self) -> None:
        """Refuse arrays of another layout."""
        if self.events.dtype != EVENT or self.steps.dtype != STEP:
            raise TypeError(f"batch of {self.events.dtype} and {self.steps.dtype}")


@dataclass(slots=True)
class Applied:
    """Rows applied but not yet scored: give the plan to a scorer and the answer to `settle`."""

    rows: Records  # (r,) ROW, the rows taken from the batch by this call
    rows_next: int  # index in the batch of the first row not taken; len(batch.events): all taken
    plan: Plan
    scored: Records  # (B,) stream.core.work.SCORED
    alerts: Records  # (k,) ALERT of the sweep before the rows, and of users dropped on the way
    alert_keys: list[bytes]


@dataclass(slots=True)
class Settled:
    """The end of some rows: what is published of them."""

    rows: Records  # (r,) ROW
    churn: npt.NDArray[np.float32]  # (B,) churn probability; -1: insufficient history
    scores: Scores
    alerts: Records  # (k,) ALERT, in the order in which they are published
    alert_keys: list[bytes]


@dataclass(slots=True)
class Touched:
    """What changed since the last commit."""

    slots: npt.NDArray[np.int64]  # (k,) users to write
    keys: list[bytes]  # (k,)
    gone: list[bytes]  # keys to delete
    forgotten: dict[bytes, int | None]  # hash -> time; None: delete


def joined_alerts(alerts: list[Records]) -> Records:
    """Join ALERT rows; those that are alone are not copied."""
    some = [rows for rows in alerts if len(rows)]
    if len(some) == 1:
        return some[0]
    return np.concatenate(some, dtype=ALERT) if some else np.zeros(0, ALERT)


def in_order(alerts: Records, keys: list[bytes]) -> tuple[Records, list[bytes]]:
    """Sort by the row that caused them; who is dropped for a row comes before the row's own."""
    if len(alerts) < 2:
        return alerts, keys
    order = np.argsort(alerts["partition_seq"], kind="stable")
    return alerts[order], [keys[index] for index in order.tolist()]
