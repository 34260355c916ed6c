"""Gradient boosting on a table. Scikit-learn."""

from typing import Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from export.returns.purchases import Doubles

# Small trees, many rows a leaf: a label of yes or no and a handful of smooth columns.
SETTINGS: Final = {
    "max_iter": 80,
    "learning_rate": 0.06,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 60,
}


def boosted(columns: Doubles, label: np.ndarray, asked: Doubles, seed: int) -> Doubles:
    """Fit on `columns` (B, F) and give the probabilities of `asked` (B', F): (B',)."""
    model = HistGradientBoostingClassifier(random_state=seed, **SETTINGS)
    with threadpool_limits(1):  # threads that wait for each other on a busy machine cost more
        return np.asarray(model.fit(columns, label).predict_proba(asked)[:, 1])
