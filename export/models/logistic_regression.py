"""Logistic regression: what purchase intent must beat, on the counters or on all window features.

On all of them it says how much the trees add.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from export.baselines.logistic import Logistic, fit_logistic
from export.dataset.record import Integers
from export.models.contract import Doubles
from export.models.table_model import TableModel


class OneAgainstRest:
    """`fit_logistic` for any number of classes, as scikit-learn's classifiers are called."""

    def __init__(self, ridge: float) -> None:
        self.ridge = ridge
        self.classes_ = np.zeros(0, np.int64)
        self.fitted: list[Logistic] = []

    def fit(self, columns: Doubles, target: Integers) -> None:
        """Fit one regression per class; two classes need one."""
        self.classes_ = np.unique(target)
        wanted = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        x = columns.astype(np.float64)
        self.fitted = [
            fit_logistic(x, (target == value).astype(np.int64), self.ridge) for value in wanted
        ]

    def predict_proba(self, columns: Doubles) -> Doubles:
        """Probabilities: (B, C)."""
        p = np.column_stack([one.predict(columns.astype(np.float64)) for one in self.fitted])
        if len(self.classes_) == 2:
            return np.concatenate([1 - p, p], axis=1)
        return np.asarray(p / p.sum(axis=1, keepdims=True))


@dataclass
class LogisticRegression(TableModel):
    """Newton's method with a ridge penalty on standardised columns."""

    by_bin: bool = True
    ridge: float = 1.0

    def estimator(self, seed: int) -> Any:
        """Make the regressions; nothing in them is drawn."""
        del seed
        return OneAgainstRest(self.ridge)
