"""What happened after each scored row: the answers that are learned and measured.

Rules of the room: only events with an event time after the row's `as_of` count, of the same user,
and nothing is assumed of what lies beyond the log's end: there a label is unknown, not negative.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from export.dataset.record import Integers, Recorded
from stream.core.layout import type_of

UNKNOWN: Final = -1
_USER_SHIFT: Final = 43  # event times since the first one need less: 278 years of ms


@dataclass(frozen=True, slots=True)
class Labels:
    """B rows. -1 stands for unknown everywhere."""

    next_item: npt.NDArray[np.uint64]  # (B,) item of the next event that has one; 0: unknown
    next_type: Integers  # (B,) event type of the next event
    purchase: Integers  # (B,) 1: a purchase within the horizon
    gap_ms: Integers  # (B,) as_of to the next event
    seen_ms: Integers  # (B,) as_of to the end of the log: how long silence was observed
    hazard: (
        Integers  # (B, bins) 1: active in the bin; 0: silent through it; -1: not at risk, unseen
    )


def labels_of(
    recorded: Recorded, end_ms: int, purchase_horizon_ms: int, edges_ms: tuple[int, ...]
) -> Labels:
    """Look up what came next."""
    as_of = recorded.rows["as_of_ms"].astype(np.int64)
    times = recorded.rows["event_time_ms"].astype(np.int64)
    origin = int(times.min())
    user = recorded.user << _USER_SHIFT
    asked = user + (as_of - origin)
    keys = user + (times - origin)

    def following(mask: npt.NDArray[np.bool_]) -> Integers:
        """Index of each row's next event among those of the mask; -1: none."""
        rows = np.flatnonzero(mask)
        rows = rows[np.argsort(keys[rows], kind="stable")]
        place = np.searchsorted(keys[rows], asked, side="right")
        found = np.append(rows, 0)[place]
        same = (place < len(rows)) & (recorded.user[found] == recorded.user)
        return np.where(same, found, UNKNOWN)

    any_next = following(np.ones(len(times), np.bool_))
    item_next = following(recorded.item != 0)
    bought_next = following(recorded.event_type == type_of["purchase"])
    gap_ms = np.where(any_next >= 0, times[any_next] - as_of, UNKNOWN)
    seen_ms = end_ms - as_of
    bought_in_ms = np.where(bought_next >= 0, times[bought_next] - as_of, 2**62)
    purchase = (bought_in_ms <= purchase_horizon_ms).astype(np.int64)
    purchase[seen_ms < purchase_horizon_ms] = UNKNOWN
    return Labels(
        next_item=np.where(item_next >= 0, recorded.item[item_next], 0).astype(np.uint64),
        next_type=np.where(any_next >= 0, recorded.event_type[any_next], UNKNOWN),
        purchase=purchase,
        gap_ms=gap_ms,
        seen_ms=seen_ms,
        hazard=hazard_labels(gap_ms, seen_ms, edges_ms),
    )


def hazard_labels(gap_ms: Integers, seen_ms: Integers, edges_ms: tuple[int, ...]) -> Integers:
    """Cut silence into bins: active, silent through it, or unknown (over before, or unseen).

    A bin counts only where the log holds it whole, active or not. Else those who came back before
    the end would be known in it and those still away not: near the end all would seem to come back.
    """
    lower = np.array([0, *edges_ms[:-1]])
    upper = np.array(edges_ms)
    gap = np.where(gap_ms < 0, 2**62, gap_ms)[:, None]
    whole = seen_ms[:, None] >= upper
    labels = np.full((len(gap_ms), len(edges_ms)), UNKNOWN)
    labels[whole & (gap >= upper)] = 0
    labels[whole & (gap >= lower) & (gap < upper)] = 1
    return labels
