"""The visits of a user up to each row, over a whole log: what rules about rhythm go by.

Rules of the room: numpy only. A visit is a user's events without a silence of SESSION_GAP_MS in
between. Nothing after a row counts for it.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from export.dataset.record import Integers, Recorded
from stream.core.layout import SESSION_GAP_MS

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Past:
    """B rows."""

    visits: Integers  # (B,) visits so far, the present one included: from 1
    span_ms: Integers  # (B,) first event of the user to the row
    gap_log: Doubles  # (B,) median of the logarithms of gaps (ms) between visits; NaN: one visit
    fresh_log: Doubles  # (B,) logarithm of the gap that the row ended; NaN: it went on with a visit

    def at(self, rows: Integers) -> "Past":
        """Give some of the rows."""
        return Past(self.visits[rows], self.span_ms[rows], self.gap_log[rows], self.fresh_log[rows])

    def shrunk_gap_log(self, population: float, prior: float) -> Doubles:
        """Pull each user's gap to the population's, which weighs `prior` visits: (B,)."""
        count = self.visits - 1
        own = np.where(count > 0, self.gap_log, 0.0)
        return np.asarray((own * count + population * prior) / (count + prior))


def past_of(user: Integers, as_of_ms: Integers) -> Past:
    """Count visits of rows in the order of scoring, `as_of_ms` not falling within a user."""
    order = np.lexsort((np.arange(len(user)), user))
    owner, times = user[order], as_of_ms[order]
    first = np.diff(owner, prepend=-1) != 0
    begin = np.maximum.accumulate(np.where(first, np.arange(len(owner)), 0))
    gap = np.where(first, 0, np.diff(times, prepend=0))
    fresh = gap > SESSION_GAP_MS
    total = np.cumsum(fresh)
    visits, span_ms = np.empty(len(user), np.int64), np.empty(len(user), np.int64)
    visits[order] = 1 + total - total[begin]
    span_ms[order] = times - times[begin]
    gap_log, fresh_log = np.empty(len(user)), np.empty(len(user))
    logs = np.log(np.where(fresh, gap, np.nan))
    gap_log[order], fresh_log[order] = _medians(first, logs), logs
    return Past(visits, span_ms, gap_log, fresh_log)


def split_pasts(splits: Sequence[Recorded]) -> list[Past]:
    """Pasts of the rows of each split, given in order of time: a user's earlier splits count."""
    user = np.concatenate([split.user for split in splits])
    as_of_ms = np.concatenate([split.rows["as_of_ms"] for split in splits]).astype(np.int64)
    every = past_of(user, as_of_ms)
    ends = np.cumsum([len(split.user) for split in splits])
    return [
        every.at(np.arange(end - len(split.user), end))
        for split, end in zip(splits, ends, strict=True)
    ]


def _medians(first: npt.NDArray[np.bool_], logs: Doubles) -> Doubles:
    """Give the running median of what is not NaN, begun anew at `first`."""
    out = np.empty(len(logs))
    held: list[float] = []
    value = math.nan
    begins, fresh = first.tolist(), (~np.isnan(logs)).tolist()
    for index, log in enumerate(logs.tolist()):  # 0.2 us a row, 2 us a visit
        if begins[index]:
            held, value = [], math.nan
        if fresh[index]:
            bisect.insort(held, log)
            count = len(held)
            value = (held[(count - 1) // 2] + held[count // 2]) / 2
        out[index] = value
    return out
