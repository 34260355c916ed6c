"""A stacked ensemble (Wolpert, 1992): a regression over what other models say.

The regression must see answers that its models gave about rows they had not learned from. Rows come
in order of time and are cut into stretches; a model that has learned the stretches before answers
for the next one. So nothing of the future is used, as random folds would; the first stretch has no
answers and teaches the models alone.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from export.dataset.record import Integers
from export.models.contract import Doubles
from export.models.gradient_boosting import GradientBoosting
from export.models.logistic_regression import OneAgainstRest
from export.models.random_forest import RandomForest
from export.models.table_model import TableModel

_EDGE = 1e-4


class TimeStacked:
    """Members and the regression over their log-odds, as scikit-learn's classifiers are called."""

    def __init__(self, members: list[Any], stretches: int) -> None:
        self.members = members
        self.stretches = stretches
        self.over = OneAgainstRest(1.0)
        self.classes_ = np.zeros(0, np.int64)

    def fit(self, columns: Doubles, target: Integers) -> None:
        """Learn from rows in order of time."""
        self.classes_ = np.unique(target)
        cuts = np.linspace(0, len(target), self.stretches + 1).astype(np.int64)
        said, truth = [], []
        for first, last in pairwise(cuts[1:].tolist()):
            if len(np.unique(target[:first])) < len(self.classes_):
                continue  # a class that has not come yet cannot be answered
            for member in self.members:
                member.fit(columns[:first], target[:first])
            said.append(self._said(columns[first:last]))
            truth.append(target[first:last])
        self.known = bool(said) and len(np.unique(np.concatenate(truth))) == len(self.classes_)
        if self.known:
            self.over.fit(np.concatenate(said), np.concatenate(truth))
        for member in self.members:
            member.fit(columns, target)

    def predict_proba(self, columns: Doubles) -> Doubles:
        """Probabilities: (B, C). Without enough history for the regression: the members' mean."""
        if self.known:
            return self.over.predict_proba(self._said(columns))
        every = [member.predict_proba(columns) for member in self.members]
        return np.asarray(np.mean(every, axis=0))

    def _said(self, columns: Doubles) -> Doubles:
        """Log-odds of every member and class but the first: (B, members (C - 1))."""
        p = np.concatenate(
            [member.predict_proba(columns)[:, 1:] for member in self.members], axis=1
        ).clip(_EDGE, 1 - _EDGE)
        return np.asarray(np.log(p) - np.log1p(-p))


@dataclass
class Stacked(TableModel):
    """Logistic regression, a random forest and gradient boosting under one regression."""

    rows_max: int = 30_000
    stretches: int = 4
    trees: int = 60

    def estimator(self, seed: int) -> Any:
        """Make the ensemble."""
        members = [
            OneAgainstRest(1.0),
            RandomForest(trees=self.trees).estimator(seed),
            GradientBoosting(trees=self.trees).estimator(seed),
        ]
        return TimeStacked(members, self.stretches)
