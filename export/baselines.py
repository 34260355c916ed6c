"""What the model must beat: simple answers to the same questions, fitted on the same rows.

Rules of the room: numpy only; each baseline is given everything of its kind that serving knows.
Items are rows of the vocabulary, 0: unknown.
"""

import bisect
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from export.labels import Labels
from export.record import Integers, Recorded
from export.weights import scaled_head
from stream.core.layout import SESSION_GAP_MS

Doubles = npt.NDArray[np.float64]

_NEWTON_STEPS: Final = 30


def popularity(items: Integers, rows: int, top: int) -> Integers:
    """Return the most frequent items, most frequent first: (top,)."""
    counts = np.bincount(items[items > 0], minlength=rows)
    counts[0] = -1
    return np.argsort(-counts, kind="stable")[:top]


def markov(last: Integers, target: Integers, rows: int, top: int) -> Integers:
    """For each last item its most frequent next ones, filled up with popular ones: (rows, top)."""
    known = (last > 0) & (target > 0)
    counts = np.zeros((rows, rows))
    np.add.at(counts, (last[known], target[known]), 1.0)
    popular = np.bincount(target[known], minlength=rows)
    counts += popular / (popular.sum() + 1.0)  # below one count: only breaks ties and fills up
    counts[:, 0] = -1
    return np.argsort(-counts, axis=1, kind="stable")[:, :top]


def last_items(recorded: Recorded, items: Integers) -> Integers:
    """Item of each row's user up to and including the row: (B,); 0: none yet."""
    order = np.lexsort((np.arange(len(items)), recorded.user))
    held = items[order]
    place = np.maximum.accumulate(np.where(held > 0, np.arange(len(held)), -1))
    first = np.searchsorted(recorded.user[order], recorded.user[order])
    last = np.zeros(len(items), np.int64)
    last[order] = np.where(place >= first, held[place], 0)
    return last


@dataclass(frozen=True, slots=True)
class Logistic:
    """Logistic regression on standardised columns."""

    mean: Doubles
    std: Doubles
    weights: Doubles  # (F + 1,) the last one is the constant

    def predict(self, columns: Doubles) -> Doubles:
        """Return probabilities: (B,)."""
        return sigmoid(_with_one((columns - self.mean) / self.std) @ self.weights)


def fit_logistic(columns: Doubles, labels: Integers, penalty: float = 1.0) -> Logistic:
    """Fit by Newton's method with a ridge penalty; converges in a dozen steps."""
    mean, std = columns.mean(axis=0), columns.std(axis=0)
    std = np.where(std > 1e-9, std, 1.0)
    x = _with_one((columns - mean) / std)
    weights = np.zeros(x.shape[1])
    ridge = np.full(x.shape[1], penalty)
    ridge[-1] = 1e-6
    for _ in range(_NEWTON_STEPS):
        p = sigmoid(x @ weights)
        gradient = x.T @ (p - labels) + ridge * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    return Logistic(mean, std, weights)


def counts_columns(recorded: Recorded) -> Doubles:
    """Columns of the logistic regression: all head features on a log scale, steps counted."""
    return scaled_head(recorded.head)


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


def sigmoid(x: Doubles) -> Doubles:
    """Logistic function that does not overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _with_one(x: Doubles) -> Doubles:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
