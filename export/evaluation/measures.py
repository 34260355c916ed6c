"""Measures of a prediction: how often the list holds the item, how good a probability is."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def hit_rate(lists: npt.NDArray[np.integer], target: npt.NDArray[np.integer]) -> float:
    """Share of rows whose list holds the target: P@K as in data sets of one target a row."""
    return float((lists == target[:, None]).any(axis=1).mean())


def roc_auc(score: npt.NDArray[np.floating], label: Flags) -> float:
    """Chance that a positive scores above a negative, ties counted half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    rank = (below + (counts - 1) / 2.0)[inverse]
    positives = int(label.sum())
    negatives = len(label) - positives
    if positives == 0 or negatives == 0:
        raise ValueError(f"ROC AUC of {positives} positives and {negatives} negatives")
    return float((rank[label].sum() - positives * (positives - 1) / 2.0) / positives / negatives)


def log_loss(probability: npt.NDArray[np.floating], label: Flags) -> float:
    """Mean of -log p of what happened."""
    p = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.where(label, np.log(p), np.log1p(-p)).mean())


def brier(probability: npt.NDArray[np.floating], label: Flags) -> float:
    """Mean squared distance of a probability from what happened."""
    return float(((probability.astype(np.float64) - label) ** 2).mean())
