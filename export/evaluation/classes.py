"""Measures of an answer that is one of K classes: counted from the confusion matrix.

Rules of the room: a class is a column; the answer is the most probable one, the first on a tie.
Nothing divided by nothing is 0.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from export.evaluation.probabilities import Flags, Weighted

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_NEVER: Final = 1e-7  # a probability is never taken as smaller than this


class PerClass(NamedTuple):
    """K classes."""

    precision: Doubles  # of those called so, the share that are
    recall: Doubles  # of those that are, the share called so
    f1: Doubles  # harmonic mean of the two
    support: Doubles  # rows (or weights) of the class


def confusion(
    target: npt.NDArray[np.integer],
    answer: npt.NDArray[np.integer],
    classes: int,
    weight: Doubles | None = None,
) -> Doubles:
    """Count: row = the true class, column = the answer: (K, K)."""
    cell = target.astype(np.int64) * classes + answer
    counted = np.bincount(cell, weight, minlength=classes * classes)
    return counted.reshape(classes, classes).astype(np.float64)


def accuracy(counted: Doubles) -> float:
    """Share of right answers."""
    return float(np.trace(counted) / counted.sum())


def per_class(counted: Doubles) -> PerClass:
    """Precision, recall and F1 of each class."""
    right = np.diag(counted)
    support, called = counted.sum(axis=1), counted.sum(axis=0)
    precision = right / np.maximum(called, 1e-300)
    recall = right / np.maximum(support, 1e-300)
    f1 = 2 * right / np.maximum(support + called, 1e-300)
    return PerClass(precision, recall, f1, support)


def row_log_loss(probability: npt.NDArray[np.floating], target: Integers) -> Doubles:
    """Give -log of the probability of what came, per row; probability (B, K)."""
    p = probability[np.arange(len(target)), target].astype(np.float64)
    return np.asarray(-np.log(np.clip(p, _NEVER, 1.0)))


def row_brier(probability: npt.NDArray[np.floating], target: Integers) -> Doubles:
    """Squared distance of the K probabilities from what came, summed, per row (Brier, 1950)."""
    truth = np.zeros(probability.shape)
    truth[np.arange(len(target)), target] = 1.0
    return np.asarray(((probability.astype(np.float64) - truth) ** 2).sum(axis=1))


def weighted_macro(
    probability: npt.NDArray[np.floating],
    target: Integers,
    each: Callable[[npt.NDArray[np.floating], Flags], Weighted],
) -> Weighted:
    """Mean over the classes of a measure of yes or no (`each`): one class against the rest.

    Only classes that some rows are of and some are not; ValueError from `each` where a weighting
    leaves one of these without rows.
    """
    rows = np.bincount(target, minlength=probability.shape[1])
    held = np.flatnonzero((rows > 0) & (rows < len(target)))
    parts = [each(probability[:, index], target == index) for index in held]
    return lambda weight: float(np.mean([part(weight) for part in parts]))
