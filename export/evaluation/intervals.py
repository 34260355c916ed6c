"""How sure a measure is: the bootstrap over users.

Rules of the room: rows of one user resemble each other, so users are drawn with replacement, with
all their rows (Cameron, Gelbach and Miller, 2008). All models are asked on the same draws: a
difference between two is taken draw by draw, which takes out what both found hard. Seeded.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Measure = Callable[[Doubles], float]  # weights of the rows (B,) -> value

DRAWS: Final = 1000
LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Draws:
    """R draws of the users of B rows."""

    place: npt.NDArray[np.int64]  # (B,) whose row it is, from 0
    times: npt.NDArray[np.float64]  # (R, users) how often each user was drawn

    @property
    def users(self) -> int:
        """Users that have rows."""
        return int(self.times.shape[1])


def draw_users(user: npt.NDArray[np.integer], seed: int, draws: int = DRAWS) -> Draws:
    """Draw as many users as there are, with replacement, `draws` times."""
    names, place = np.unique(user, return_inverse=True)
    if len(names) == 0:
        raise ValueError("no rows to draw users from")
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return Draws(place.reshape(-1), times.astype(np.float64))


def replicas(measure: Measure, draws: Draws) -> Doubles:
    """Value of the measure in each draw: (R,). NaN where it has none (no row of a class drawn)."""
    return replicas_of({"": measure}, draws)[""]


def replicas_of(measures: Mapping[str, Measure], draws: Draws) -> dict[str, Doubles]:
    """Give the replicas of several measures. As dear as R calls of each: 0.1 ms for 20,000 rows."""
    out = {name: np.full(len(draws.times), np.nan) for name in measures}
    for index, times in enumerate(draws.times):
        weight = times[draws.place]
        for name, measure in measures.items():
            with contextlib.suppress(ValueError):
                out[name][index] = measure(weight)
    return out


def mean_of(values: npt.NDArray[np.floating]) -> Measure:
    """Measure of rows that is a plain mean of `values` (B,)."""
    held = values.astype(np.float64)
    # A sum, not a dot product: the latter wakes the threads of the algebra library each time.
    return lambda weight: float((held * weight).sum() / weight.sum())


def interval(drawn: Doubles, level: float = LEVEL) -> tuple[float, float]:
    """Lower and upper end: quantiles of the draws (Efron's percentile interval)."""
    if np.isnan(drawn).all():
        return float("nan"), float("nan")
    tail = (1.0 - level) / 2.0
    lower, upper = np.nanquantile(drawn, [tail, 1.0 - tail])
    return float(lower), float(upper)
