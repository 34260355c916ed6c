"""A decision tree (CART, Breiman et al., 1984): one tree, readable, quick, coarse."""

from dataclasses import dataclass
from typing import Any

from sklearn.tree import DecisionTreeClassifier

from export.models.table_model import TableModel


@dataclass
class DecisionTree(TableModel):
    """Leaves of at least `leaf` rows, so that a leaf's share is a probability."""

    depth: int = 8
    leaf: int = 100

    def estimator(self, seed: int) -> Any:
        """Make the tree."""
        return DecisionTreeClassifier(
            max_depth=self.depth, min_samples_leaf=self.leaf, random_state=seed
        )
