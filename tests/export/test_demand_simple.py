"""Simple forecasts against examples computed by hand; and that none looks ahead."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from export.demand.intermittent import croston, tsb
from export.demand.scores import mase_scale, scores
from export.demand.smoothing import (
    Doubles,
    fitted_weights,
    holt_winters,
    naive,
    seasonal_naive,
    smoothed,
)

DEMAND = np.array([[0.0, 2, 0, 0, 4, 0, 1]])


def test_croston_by_hand() -> None:
    rates = croston(DEMAND, np.array([[0.5]]), 2)
    # Size 2, 3, 2; interval 2, 2.5, 2.25: changed at a demand only.
    expected = [0, 0, 1, 1, 1, 3 / 2.5, 3 / 2.5, 2 / 2.25]
    assert rates[0, :, 0] == pytest.approx(expected)
    assert np.array_equal(rates[:, :, 0], rates[:, :, 1])


def test_tsb_by_hand() -> None:
    rates = tsb(DEMAND, np.array([[0.5, 0.25]]), 1)[0, :, 0]
    # Probability 1/2, then x 3/4 without a demand, + (1 - p) / 4 with one; size as Croston's.
    p = [0.5, 0.375, 0.28125, 0.4609375, 0.345703125, 0.50927734375]
    sizes = [2, 2, 2, 3, 3, 2]
    assert rates == pytest.approx([0, 0, *(a * b for a, b in zip(p, sizes, strict=True))])
    gone = tsb(np.array([[3.0, 0, 0, 0]]), np.array([[0.5, 0.5]]), 1)[0, :, 0]
    assert gone.tolist() == [0, 3, 1.5, 0.75, 0.375], "what is not asked for is forgotten"


def test_smoothing_by_hand() -> None:
    y = np.array([[4.0, 8, 0]])
    assert smoothed(y, np.array([[0.5]]), 1)[0, :, 0].tolist() == [0, 4, 6, 3]
    assert naive(y, 2)[0].tolist() == [[0, 0], [4, 4], [8, 8], [0, 0]]
    assert seasonal_naive(y, 2, 3)[0].tolist() == [[0] * 3, [4] * 3, [4, 8, 4], [8, 0, 8]]


def test_holt_winters_by_hand() -> None:
    run, grid = holt_winters(2)
    made = run(np.array([[1.0, 3, 2]]), np.array([[0.5, 0.5, 0.5]]), 2)[0]
    # Level 2 and deviations -1, +1; after a 2: level 2.5, trend 0.25, first deviation -0.5.
    assert made[2].tolist() == [1, 3]
    assert made[3].tolist() == [3.75, 2.5]
    assert len(set(grid)) == len(grid)
    wave = np.tile([5.0, 1, 3], (1, 8))
    steady = holt_winters(3)[0](wave, np.array([[0.3, 0.1, 0.2]]), 3)[0, 3:]
    assert steady[:, 0] == pytest.approx(np.tile([5.0, 1, 3], 8)[[*range(3, 24), 0]])
    line, line_grid = holt_winters(1)
    assert {gamma for *_, gamma in line_grid} == {0.0}
    rising = line(np.arange(60.0)[None], np.array([[0.5, 0.5, 0.0]]), 2)[0, -1]
    assert rising == pytest.approx([60, 61], abs=0.01)


METHODS: dict[str, Callable[[Doubles], Doubles]] = {
    "naive": partial(naive, horizon=4),
    "seasonal naive": partial(seasonal_naive, season=5, horizon=4),
    "smoothed": lambda y: smoothed(y, np.full((len(y), 1), 0.3), 4),
    "Holt-Winters": lambda y: holt_winters(5)[0](y, np.full((len(y), 3), 0.3), 4),
    "Croston": lambda y: croston(y, np.full((len(y), 1), 0.3), 4),
    "TSB": lambda y: tsb(y, np.full((len(y), 2), 0.3), 4),
}


@pytest.mark.parametrize("name", METHODS)
def test_no_method_looks_ahead(name: str) -> None:
    rng = np.random.default_rng(1)
    y = rng.poisson(0.8, (3, 40)).astype(np.float64)
    changed = y.copy()
    changed[:, 25:] = rng.poisson(9, (3, 15))
    one, other = METHODS[name](y), METHODS[name](changed)
    assert one.shape == (3, 41, 4)
    assert np.array_equal(one[:, :26], other[:, :26])
    assert not np.array_equal(one[:, 26:], other[:, 26:])
    assert (one >= 0).all()


def test_weights_are_fitted_on_train_alone_and_well() -> None:
    rng = np.random.default_rng(2)
    still = 10 + rng.normal(0, 1, 200)
    walk = 100 + rng.normal(0, 1, 200).cumsum()
    y = np.stack([still, walk])
    grid = [(0.05,), (0.9,)]
    assert fitted_weights(smoothed, grid, y, 1, 150).tolist() == [[0.05], [0.9]]
    y[:, 150:] = y[::-1, 150:]
    assert fitted_weights(smoothed, grid, y, 1, 150).tolist() == [[0.05], [0.9]]


@pytest.mark.parametrize("series", [3, 20])
def test_scores_by_hand(series: int) -> None:
    """Below 8 series the draws are of stretches of time, from 8 on of series."""
    true = np.tile([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], (series, 1))
    scale = np.full(series, 2.0)
    scale[0] = 0
    made = scores({"ours": true + 1, "other": true - 3}, true, scale, 7, 1)
    assert (made["ours"].mse, made["other"].rmse, made["other"].more) == (1, 3, 2)
    assert made["ours"].mase == 0.5, "a series that does not move is left out"
    assert made["other"].more_interval == pytest.approx((2, 2))
    noise = true + np.random.default_rng(1).normal(0, 1 + np.arange(14), true.shape)
    low, high = scores({"ours": noise}, true, scale, 7, 1)["ours"].rmse_interval
    assert low < high
    assert mase_scale(np.array([[1.0, 4, 2, 99]]), 3).tolist() == [2.5]
