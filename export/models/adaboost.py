"""AdaBoost: small trees in a row, each on the rows that the ones before it got wrong.

Freund and Schapire, 1997; for several classes SAMME, Zhu et al., 2009. Its raw scores are no
probabilities, so all rests on calibration.
"""

from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

from export.models.table_model import TableModel


@dataclass
class AdaBoost(TableModel):
    """Trees of `depth` cuts; every tree reads every row and column, hence fewer rows."""

    rows_max: int = 20_000
    trees: int = 60
    depth: int = 2
    rate: float = 0.5

    def estimator(self, seed: int) -> Any:
        """Make the chain of trees."""
        tree = DecisionTreeClassifier(max_depth=self.depth, random_state=seed)
        return AdaBoostClassifier(
            tree, n_estimators=self.trees, learning_rate=self.rate, random_state=seed
        )
