"""Logistic regression on counts: what purchase intent is measured beside.

Rules of the room: numpy only.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from export.bundles.weights import scaled_head
from export.dataset.record import Integers, Recorded

Doubles = npt.NDArray[np.float64]


_NEWTON_STEPS: Final = 30


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


def sigmoid(x: Doubles) -> Doubles:
    """Logistic function that does not overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _with_one(x: Doubles) -> Doubles:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
