"""The buffers that applying rows writes into, and the records in them."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.features import HEAD_COUNT
from stream.core.layout import STEP, Records
from stream.core.results import ALERT, ROW

# What settling needs to know of a scored row, as of that row.
SCORED: Final = np.dtype(
    [
        ("slot", "<i4"),
        ("row", "<i4"),  # index into the rows of the same call
        ("user", "<i4"),  # index into the batch's users
        ("event_type", "u1"),
        ("newest", "u1"),  # 1: the event ended the user's silence
        ("seq", "<i8"),
        ("time_ms", "<i8"),
        ("as_of_ms", "<i8"),
        ("steps_count", "<i8"),
        ("silence_before_ms", "<i8"),  # shop time silent when the event came
        ("silence_ms", "<i8"),  # shop time silent after it
        ("shop_ms", "<i8"),
        ("watermark_ms", "<i8"),
    ]
)
OP: Final = np.dtype([("kind", "u1"), ("slot", "<i4"), ("user", "<i4"), ("time_ms", "<i8")])


class ApplyRules(NamedTuple):
    """The limits that the loop needs, as numbers."""

    refresh_steps: int
    future_ms_max: int
    jump_ms_max: int
    gap_ms_max: int
    bucket_ms: int
    events_min: int
    forget_keep_ms: int
    exclude_recent: bool


class Work(NamedTuple):
    """What one call writes: R rows at most, N steps, S segments. Reused; the engine copies out."""

    rows: Records  # (R,) ROW
    scored: Records  # (R,) SCORED
    alerts: Records  # (R,) ALERT
    alert_slots: npt.NDArray[np.int32]  # (R,) index of the op whose user the alert is of
    ops: Records  # (2 R,) OP: users created and dropped, in order
    steps: Records  # (N,) STEP
    gap_ms: npt.NDArray[np.int64]  # (N,)
    segment: npt.NDArray[np.int32]  # (N,)
    wave: npt.NDArray[np.int32]  # (N,)
    pool_in: npt.NDArray[np.int32]  # (S,)
    pool_out: npt.NDArray[np.int32]  # (S,)
    row_step: npt.NDArray[np.int32]  # (R,)
    head: npt.NDArray[np.float32]  # (R, F)
    context: npt.NDArray[np.uint32]  # (R, 3)
    recent: npt.NDArray[np.uint64]  # (R, W) or (R, 0)
    scratch: npt.NDArray[np.int64]  # (18,)
    counts: npt.NDArray[np.int64]  # (6,) rows, scored, alerts, ops, steps, segments


def new_work(rows_max: int, window_steps: int, refresh_steps: int, exclude_recent: bool) -> Work:
    """Make the buffers: four steps a row, and room for one rebuild each where that is more."""
    steps_max = 4 * rows_max + 2 * refresh_steps
    return Work(
        rows=np.zeros(rows_max, ROW),
        scored=np.zeros(rows_max, SCORED),
        alerts=np.zeros(rows_max, ALERT),
        alert_slots=np.zeros(rows_max, np.int32),
        ops=np.zeros(2 * rows_max, OP),
        steps=np.zeros(steps_max, STEP),
        gap_ms=np.zeros(steps_max, np.int64),
        segment=np.zeros(steps_max, np.int32),
        wave=np.zeros(steps_max, np.int32),
        pool_in=np.zeros(rows_max, np.int32),
        pool_out=np.zeros(rows_max, np.int32),
        row_step=np.zeros(rows_max, np.int32),
        head=np.zeros((rows_max, HEAD_COUNT), np.float32),
        context=np.zeros((rows_max, 3), np.uint32),
        recent=np.zeros((rows_max, window_steps if exclude_recent else 0), np.uint64),
        scratch=np.zeros(18, np.int64),
        counts=np.zeros(6, np.int64),
    )
