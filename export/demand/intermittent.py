"""Intermittent demand, many periods without any: Croston's method and that of Teunter et al. Numpy.

Rules of the room: as in smoothing.py; both are Smoothers. Both forecast a rate, the same for all
periods ahead, and start with the first demand; before it the forecast is 0.
"""

import itertools
from typing import Final

import numpy as np

from export.demand.smoothing import Doubles, flat

CROSTON_GRID: Final = tuple((alpha,) for alpha in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5))
TSB_GRID: Final = tuple(itertools.product((0.02, 0.05, 0.1, 0.2, 0.3, 0.5), repeat=2))


def croston(y: Doubles, weights: Doubles, horizon: int) -> Doubles:
    """Smooth size and interval of demands, both at a demand only; forecast size / interval.

    weights (alpha,). Size starts at the first demand, interval at its number from 1.
    Croston, J. D. (1972), Forecasting and stock control for intermittent demands, Operational
    Research Quarterly 23 (3).
    """
    alpha = weights[:, 0]
    rates = np.zeros((len(y), y.shape[1] + 1))
    size, interval = np.zeros(len(y)), np.ones(len(y))
    since = np.ones(len(y))  # periods from the last demand to this one
    started = np.zeros(len(y), bool)
    for t in range(y.shape[1]):
        now = y[:, t]
        demand = now > 0
        first, again = demand & ~started, demand & started
        size = np.where(first, now, np.where(again, size + alpha * (now - size), size))
        moved = interval + alpha * (since - interval)
        interval = np.where(first, since, np.where(again, moved, interval))
        started |= demand
        since = np.where(demand, 1.0, since + 1)
        rates[:, t + 1] = size / interval
    return flat(rates, horizon)


def tsb(y: Doubles, weights: Doubles, horizon: int) -> Doubles:
    """Smooth the size at a demand, its probability in every period; forecast their product.

    weights (alpha of the size, beta of the probability). The probability starts, at the first
    demand, at 1 / its number from 1; in periods without demand it falls, so what is no longer asked
    for is forgotten.
    Teunter, R. H., Syntetos, A. A. and Babai, M. Z. (2011), Intermittent demand: linking
    forecasting to inventory obsolescence, European Journal of Operational Research 214 (3).
    """
    alpha, beta = weights.T
    rates = np.zeros((len(y), y.shape[1] + 1))
    size, probability = np.zeros(len(y)), np.zeros(len(y))
    started = np.zeros(len(y), bool)
    for t in range(y.shape[1]):
        now = y[:, t]
        demand = now > 0
        first = demand & ~started
        moved = probability + beta * (demand - probability)
        probability = np.where(first, 1.0 / (t + 1), np.where(started, moved, probability))
        size = np.where(first, now, np.where(demand, size + alpha * (now - size), size))
        started |= demand
        rates[:, t + 1] = size * probability
    return flat(rates, horizon)
