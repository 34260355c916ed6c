"""Gradient boosting of trees on histograms: usually the best of the models on tables.

Friedman, 2001; histograms: Ke et al., 2017.
"""

from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier

from export.models.table_model import TableModel


@dataclass
class GradientBoosting(TableModel):
    """Columns are cut into 255 bins; the number of trees is fixed, so no row is held back."""

    trees: int = 100
    leaves: int = 15
    rate: float = 0.08
    ridge: float = 1.0

    def estimator(self, seed: int) -> Any:
        """Make the chain of trees. Threads: OMP_NUM_THREADS, see docs/models.md."""
        return HistGradientBoostingClassifier(
            max_iter=self.trees,
            max_leaf_nodes=self.leaves,
            learning_rate=self.rate,
            l2_regularization=self.ridge,
            early_stopping=False,
            random_state=seed,
        )
