"""Measures of a probability of yes or no, and the curves behind them.

Rules of the room: each measure comes as one function of scores and labels, and takes weights of the
rows, so that the bootstrap asks the very same function. Rows of weight 0 are not there.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Weighted = Callable[[Doubles], float]  # weights of the rows (B,) -> value

BINS: Final = 10  # of the calibration error and plot: equally many rows each
_NEVER: Final = 1e-7  # a probability is never taken as smaller than this


class Curve(NamedTuple):
    """Points of a curve, from the strictest threshold to the laxest."""

    x: Doubles
    y: Doubles


class Reliability(NamedTuple):
    """Bins of rows of like probability; empty ones left out."""

    predicted: Doubles  # mean probability
    happened: Doubles  # share of yes
    weight: Doubles  # rows


def roc_auc(score: npt.NDArray[np.floating], label: Flags) -> float:
    """Chance that a positive scores above a negative, ties counted half.

    Raises ValueError where one of the classes has no row.
    """
    return weighted_roc_auc(score, label)(np.ones(len(label)))


def pr_auc(score: npt.NDArray[np.floating], label: Flags) -> float:
    """Average precision: the area under precision against recall, in steps.

    Sum over thresholds of (recall gained) * precision there. A score that says nothing gets the
    share of positives. Raises ValueError where one of the classes has no row.
    """
    return weighted_pr_auc(score, label)(np.ones(len(label)))


def log_loss(probability: npt.NDArray[np.floating], label: Flags) -> float:
    """Mean of -log p of what happened."""
    return float(row_log_loss(probability, label).mean())


def brier(probability: npt.NDArray[np.floating], label: Flags) -> float:
    """Mean squared distance of a probability from what happened."""
    return float(row_brier(probability, label).mean())


def calibration_error(
    probability: npt.NDArray[np.floating], label: Flags, bins: int = BINS
) -> float:
    """Return the mean distance of the bins' probability from their share of yes (ECE).

    Bins hold equally many rows (Nixon et al., 2019), since rare events leave bins of equal width
    empty; equal probabilities stay in one bin. Weighted by the rows of each.
    """
    return weighted_calibration_error(probability, label, bins)(np.ones(len(label)))


def row_log_loss(probability: npt.NDArray[np.floating], label: Flags) -> Doubles:
    """Give -log p of what happened, per row."""
    p = np.clip(probability.astype(np.float64), _NEVER, 1 - _NEVER)
    return -np.where(label, np.log(p), np.log1p(-p))


def row_brier(probability: npt.NDArray[np.floating], label: Flags) -> Doubles:
    """Squared distance per row."""
    return np.asarray((probability.astype(np.float64) - label) ** 2)


def weighted_roc_auc(score: npt.NDArray[np.floating], label: Flags) -> Weighted:
    """Prepare `roc_auc` for many weightings of the same rows: sorted once."""
    order, last = _thresholds(score)
    truth = label[order]

    def measure(weight: Doubles) -> float:
        yes, no = _cumulated(weight[order], truth, last)
        gained = np.diff(no, prepend=0.0)
        before = np.concatenate([[0.0], yes[:-1]])
        return float((gained * (yes + before) / 2.0).sum() / yes[-1] / no[-1])

    return measure


def weighted_pr_auc(score: npt.NDArray[np.floating], label: Flags) -> Weighted:
    """Prepare `pr_auc` for many weightings of the same rows: sorted once."""
    order, last = _thresholds(score)
    truth = label[order]

    def measure(weight: Doubles) -> float:
        yes, no = _cumulated(weight[order], truth, last)
        precision = yes / np.maximum(yes + no, 1e-300)
        return float((np.diff(yes, prepend=0.0) * precision).sum() / yes[-1])

    return measure


def weighted_calibration_error(
    probability: npt.NDArray[np.floating], label: Flags, bins: int = BINS
) -> Weighted:
    """Prepare `calibration_error` for many weightings: the bins stay where all rows put them."""
    p, place, count = _binned(probability, bins)

    def measure(weight: Doubles) -> float:
        # Of each bin: rows times (mean probability - share of yes), a sum of differences.
        apart = np.bincount(place, weight * (p - label), minlength=count)
        return float(np.abs(apart).sum() / weight.sum())

    return measure


def reliability(
    probability: npt.NDArray[np.floating], label: Flags, bins: int = BINS
) -> Reliability:
    """Bins of the calibration plot."""
    p, place, count = _binned(probability, bins)
    counts = np.bincount(place, minlength=count)
    full = counts > 0
    predicted = np.bincount(place, p, minlength=count)[full] / counts[full]
    happened = np.bincount(place, label, minlength=count)[full] / counts[full]
    return Reliability(predicted, happened, counts[full].astype(np.float64))


def _binned(
    probability: npt.NDArray[np.floating], bins: int
) -> tuple[Doubles, npt.NDArray[np.int64], int]:
    """Probabilities, the bin of each, and how many bins there are: (B,), (B,)."""
    p = probability.astype(np.float64)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))
    return p, np.searchsorted(edges, p, side="right"), len(edges) + 1


def roc_curve(score: npt.NDArray[np.floating], label: Flags) -> Curve:
    """Give false (x) and true positive rate (y) of every threshold, from (0, 0)."""
    order, last = _thresholds(score)
    yes, no = _cumulated(np.ones(len(label)), label[order], last)
    return Curve(np.append(0.0, no / no[-1]), np.append(0.0, yes / yes[-1]))


def pr_curve(score: npt.NDArray[np.floating], label: Flags) -> Curve:
    """Recall (x) and precision (y) of every threshold."""
    order, last = _thresholds(score)
    yes, no = _cumulated(np.ones(len(label)), label[order], last)
    return Curve(yes / yes[-1], yes / (yes + no))


def _thresholds(
    score: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows from the highest score down, and the last row of each distinct score."""
    order = np.argsort(-score, kind="stable")
    falls = np.flatnonzero(np.diff(score[order]))
    return order, np.append(falls, len(score) - 1)


def _cumulated(
    weight: Doubles, truth: Flags, last: npt.NDArray[np.int64]
) -> tuple[Doubles, Doubles]:
    """Weights of yes and of no at or above each threshold."""
    yes = np.cumsum(np.where(truth, weight, 0.0))[last]
    no = np.cumsum(np.where(truth, 0.0, weight))[last]
    if yes[-1] <= 0 or no[-1] <= 0:
        raise ValueError(f"{yes[-1]:g} positives and {no[-1]:g} negatives: no curve")
    return yes, no
