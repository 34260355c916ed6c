"""Simple forecasts: naive, seasonal naive, exponential smoothing, Holt-Winters. Numpy.

Rules of the room: series side by side, (S, T). `paths` has, for each number t of periods seen, the
forecasts of the next H: (S, T + 1, H); row t is made of y[:, :t] alone. Before there is anything to
go by, a forecast is 0. Weights are chosen per series on a grid, by the squared error of one step
ahead within the first `train` periods. Demand is not negative: forecasts are cut at 0.

Sources: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 5.2 (naive),
8.1 (simple exponential smoothing), 8.3 (Holt-Winters, additive).
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
# y (S, T), weights (S, K) and H to paths (S, T + 1, H)
Smoother = Callable[[Doubles, Doubles, int], Doubles]

ALPHAS: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SMOOTHING_GRID: Final = tuple((alpha,) for alpha in ALPHAS)
_HOLT_GRID: Final = tuple(itertools.product((0.05, 0.1, 0.2, 0.4, 0.6, 0.8), (0.0, 0.02, 0.1)))
_GAMMAS: Final = (0.0, 0.05, 0.15, 0.4)


def naive(y: Doubles, horizon: int) -> Doubles:
    """Repeat the last value."""
    return flat(np.concatenate([np.zeros((len(y), 1)), y], axis=1), horizon)


def seasonal_naive(y: Doubles, season: int, horizon: int) -> Doubles:
    """Repeat the value of a season before; the last value while there is none."""
    out = naive(y, horizon)
    for t in range(season, y.shape[1] + 1):
        out[:, t] = y[:, t - season + np.arange(horizon) % season]
    return out


def smoothed(y: Doubles, weights: Doubles, horizon: int) -> Doubles:
    """Move a level towards each value: level += alpha (y - level), from the first value on."""
    levels = np.zeros((len(y), y.shape[1] + 1))
    levels[:, 1] = y[:, 0]
    for t in range(1, y.shape[1]):
        levels[:, t + 1] = levels[:, t] + weights[:, 0] * (y[:, t] - levels[:, t])
    return flat(levels, horizon)


def holt_winters(season: int) -> tuple[Smoother, Sequence[tuple[float, ...]]]:
    """Give additive Holt-Winters with weights (alpha, beta, gamma) and its grid.

    It starts after the first season, with its mean as level, no trend, and its deviations. With a
    season of 1 it is Holt's linear trend.
    """
    gammas = _GAMMAS if season > 1 else (0.0,)

    def run(y: Doubles, weights: Doubles, horizon: int) -> Doubles:
        alpha, beta, gamma = weights.T
        out = np.zeros((len(y), y.shape[1] + 1, horizon))
        level, trend = y[:, :season].mean(axis=1), np.zeros(len(y))
        cycle = y[:, :season] - level[:, None]  # (S, season) by place in the season
        ahead = np.arange(1, horizon + 1)
        for t in range(season, y.shape[1] + 1):
            line = level[:, None] + trend[:, None] * ahead
            out[:, t] = np.maximum(line + cycle[:, (t + ahead - 1) % season], 0)
            if t == y.shape[1]:
                break
            place, now = t % season, y[:, t]
            expected = level + trend
            before = level
            level = alpha * (now - cycle[:, place]) + (1 - alpha) * expected
            trend = beta * (level - before) + (1 - beta) * trend
            cycle[:, place] = gamma * (now - expected) + (1 - gamma) * cycle[:, place]
        return out

    return run, [(a, b, g) for (a, b), g in itertools.product(_HOLT_GRID, gammas)]


def fitted_weights(
    smoother: Smoother, grid: Sequence[tuple[float, ...]], y: Doubles, first: int, train: int
) -> Doubles:
    """Choose each series' weights: (S, K). Errors count from period `first` to `train`."""
    seen = y[:, :train]
    best, chosen = np.full(len(y), np.inf), np.zeros((len(y), len(grid[0])))
    for weights in grid:
        tried = np.tile(np.array(weights), (len(y), 1))
        one_step = smoother(seen, tried, 1)[:, first:train, 0]
        error = ((one_step - seen[:, first:]) ** 2).sum(axis=1)
        better = error < best
        best, chosen = np.where(better, error, best), np.where(better[:, None], tried, chosen)
    return chosen


def flat(levels: Doubles, horizon: int) -> Doubles:
    """Forecast one value for all periods ahead: (S, T + 1) to (S, T + 1, H)."""
    return np.repeat(levels[:, :, None], horizon, axis=2)
