"""A random forest (Breiman, 2001): many deep trees on drawn rows and columns, averaged."""

from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import RandomForestClassifier

from export.models.table_model import TableModel


@dataclass
class RandomForest(TableModel):
    """Half of the rows for each tree, the square root of the columns at each cut."""

    trees: int = 100
    depth: int = 12
    leaf: int = 20

    def estimator(self, seed: int) -> Any:
        """Make the forest."""
        return RandomForestClassifier(
            n_estimators=self.trees,
            max_depth=self.depth,
            min_samples_leaf=self.leaf,
            max_samples=0.5,
            n_jobs=1,
            random_state=seed,
        )
