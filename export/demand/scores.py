"""Forecasts of all methods on the same points: errors, their intervals, and who wins.

Rules of the room: every method forecasts every test period of every series from the periods before
it. Errors are pooled over series, in natural units; MASE takes each series' scale out. Intervals: a
bootstrap over series, or over stretches of a season where there are fewer than 8 series; all
methods are asked on the same draws, so a difference is taken draw by draw.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from export.demand.intermittent import CROSTON_GRID, TSB_GRID, croston, tsb
from export.demand.series import Doubles, SeriesSet, Split
from export.demand.smoothing import (
    SMOOTHING_GRID,
    fitted_weights,
    holt_winters,
    naive,
    seasonal_naive,
    smoothed,
)
from export.evaluation.intervals import Draws, draw_users, interval

SERIES_MIN: Final = 8  # to draw series; with fewer, stretches of time are drawn


@dataclass(frozen=True, slots=True)
class Score:
    """One method on the test part."""

    mse: float
    rmse: float
    rmse_interval: tuple[float, float]
    mase: float
    more: float  # RMSE minus that of the first method
    more_interval: tuple[float, float]


def simple_paths(series: SeriesSet, split: Split, season: int, horizon: int) -> dict[str, Doubles]:
    """Forecast the test part without a network: name -> (S, N, H), N = total - train."""
    y, train = series.counts, split.train
    out = {"naive": naive(y, horizon)}
    if season > 1:
        out["seasonal naive"] = seasonal_naive(y, season, horizon)
    winters, winters_grid = holt_winters(season)
    for name, smoother, grid in (
        ("exponential smoothing", smoothed, SMOOTHING_GRID),
        ("Holt-Winters" if season > 1 else "Holt", winters, winters_grid),
        ("Croston", croston, CROSTON_GRID),
        ("TSB", tsb, TSB_GRID),
    ):
        weights = fitted_weights(smoother, grid, y, season, train)
        out[name] = smoother(y, weights, horizon)
    return {name: paths[:, train : split.total] for name, paths in out.items()}


def scores(
    forecasts: dict[str, Doubles], true: Doubles, scale: Doubles, season: int, seed: int
) -> dict[str, Score]:
    """Score forecasts (S, N) of `true` (S, N); the first is what the others are compared with.

    `scale` (S,) is of MASE: see `mase_scale`.
    """
    place, draws = _draws(true, season, seed)
    counted = np.bincount(place)
    squares = {
        name: np.bincount(place, ((made - true) ** 2).reshape(-1))
        for name, made in forecasts.items()
    }
    drawn = {
        name: np.sqrt((draws.times @ sums) / (draws.times @ counted))
        for name, sums in squares.items()
    }
    first = next(iter(forecasts))
    known = scale > 0
    out = {}
    for name, made in forecasts.items():
        mse = float(squares[name].sum() / true.size)
        absolute = np.abs(made - true).mean(axis=1)[known] / scale[known]
        out[name] = Score(
            mse=mse,
            rmse=mse**0.5,
            rmse_interval=interval(drawn[name]),
            mase=float(absolute.mean()) if known.any() else float("nan"),
            more=mse**0.5 - float(squares[first].sum() / true.size) ** 0.5,
            more_interval=interval(drawn[name] - drawn[first]),
        )
    return out


def mase_scale(counts: Doubles, train: int) -> Doubles:
    """Mean absolute change from period to period in the train part: (S,).

    Hyndman, R. J. and Koehler, A. B. (2006), Another look at measures of forecast accuracy,
    International Journal of Forecasting 22 (4). 0: the series did not move, MASE leaves it out.
    """
    return np.asarray(np.abs(np.diff(counts[:, :train], axis=1)).mean(axis=1))


def _draws(true: Doubles, season: int, seed: int) -> tuple[npt.NDArray[np.int64], Draws]:
    """Which unit each point belongs to, and how often each unit was drawn."""
    series, periods = true.shape
    if series >= SERIES_MIN:
        place = np.repeat(np.arange(series), periods)
    else:
        place = np.tile(np.arange(periods) // season, series)
    return place, draw_users(np.unique(place), seed)
