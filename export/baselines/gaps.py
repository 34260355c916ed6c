"""Churn without a model: the population's hazard, and the user's own rhythm.

Rules of the room: numpy only.
"""

import bisect
import math

import numpy as np
import numpy.typing as npt

from export.dataset.labels import Labels
from export.dataset.record import Recorded
from stream.core.layout import SESSION_GAP_MS

Doubles = npt.NDArray[np.float64]


def base_hazard(labels: Labels) -> Doubles:
    """Hazard per bin of the whole population: (bins,)."""
    at_risk = (labels.hazard >= 0).sum(axis=0)
    return np.asarray(((labels.hazard == 1).sum(axis=0) + 0.5) / (at_risk + 1.0))


def survival(hazard: Doubles, edges_ms: tuple[int, ...], silence_ms: float) -> Doubles:
    """S(silence) of (B, bins) hazards: log S is linear within a bin; the last rate goes on."""
    lower = np.array([0.0, *edges_ms[:-1]])
    width = np.array(edges_ms) - lower
    inside = np.clip((silence_ms - lower) / width, 0.0, 1.0)
    inside[-1] = max(0.0, (silence_ms - lower[-1]) / width[-1])
    return np.asarray(np.exp(np.log1p(-hazard) @ inside))


def personal_gaps(recorded: Recorded, prior: float = 2.0) -> Doubles:
    """Median gap between a user's visits so far, in ms, shrunk to the population: (B,).

    The shrinkage is on the log scale, by `prior` visits' worth of the population's median.
    """
    order = np.lexsort((np.arange(len(recorded.user)), recorded.user))
    user = recorded.user[order]
    as_of = recorded.rows["as_of_ms"][order].astype(np.int64)
    gap = np.diff(as_of, prepend=as_of[:1])
    starts = np.flatnonzero(np.diff(user, prepend=-1))
    gap[starts] = 0
    population = float(np.log(np.median(gap[gap > SESSION_GAP_MS])))
    out = np.empty(len(user))
    held: list[float] = []
    value = population
    first = set(starts.tolist())
    for index, between in enumerate(gap.tolist()):  # 0.2 us a row, 2 us a visit
        if index in first:
            held, value = [], population
        if between > SESSION_GAP_MS:
            bisect.insort(held, math.log(between))
            count = len(held)
            own = (held[(count - 1) // 2] + held[count // 2]) / 2
            value = (own * count + population * prior) / (count + prior)
        out[index] = value
    gaps = np.empty(len(user))
    gaps[order] = np.exp(out)
    return gaps
