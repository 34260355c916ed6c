"""Baselines against hand-made cases and scikit-learn."""

import numpy as np
import pytest

from export.baselines import gaps, logistic
from export.baselines import items as item_lists
from export.dataset.labels import Labels

ZEROS = np.zeros(0, np.int64)


def test_popularity_counts_known_items() -> None:
    items = np.array([3, 1, 3, 0, 0, 0, 2, 3, 1])
    assert item_lists.popularity(items, 5, 3).tolist() == [3, 1, 2]


def test_markov_takes_the_most_frequent_next_and_fills_up() -> None:
    last = np.array([1, 1, 1, 2, 0, 4])
    target = np.array([2, 2, 3, 1, 3, 0])
    chain = item_lists.markov(last, target, 5, 3)
    assert chain[1].tolist()[:2] == [2, 3]
    assert chain[2, 0] == 1
    assert 0 not in chain[4].tolist()


def test_logistic_regression_finds_the_weights() -> None:
    rng = np.random.default_rng(1)
    columns = rng.normal(3, 2, (20_000, 2))
    p = logistic.sigmoid(1.5 * columns[:, 0] - 0.5 * columns[:, 1] - 2)
    label = (rng.random(len(p)) < p).astype(np.int64)
    fitted = logistic.fit_logistic(columns, label)
    assert fitted.weights[:2] / fitted.std == pytest.approx([1.5, -0.5], abs=0.1)
    assert np.abs(fitted.predict(columns) - p).mean() < 0.01


def test_logistic_regression_agrees_with_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(2)
    columns = rng.normal(0, 1, (3000, 4))
    label = (rng.random(3000) < logistic.sigmoid(columns @ [1, -1, 0.3, 0])).astype(np.int64)
    ours = logistic.fit_logistic(columns, label).predict(columns)
    scaled = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    theirs = linear.LogisticRegression(C=1.0, max_iter=500).fit(scaled, label)
    assert ours == pytest.approx(theirs.predict_proba(scaled)[:, 1], abs=1e-3)


def test_base_hazard_counts_those_at_risk() -> None:
    hazard = np.array([[1, -1], [0, 1], [0, 0], [0, -1]])
    labels = Labels(ZEROS.astype(np.uint64), ZEROS, ZEROS, ZEROS, ZEROS, hazard)
    assert gaps.base_hazard(labels) == pytest.approx([1.5 / 5, 1.5 / 3])


@pytest.mark.parametrize(
    ("silence", "expected"),
    [(0, 1), (5, 0.5**0.5), (10, 0.5), (15, 0.5 * 0.8**0.5), (20, 0.4), (30, 0.4 * 0.8)],
)
def test_survival_is_linear_in_its_logarithm(silence: float, expected: float) -> None:
    assert gaps.survival(np.array([[0.5, 0.2]]), (10, 20), silence)[0] == pytest.approx(expected)
