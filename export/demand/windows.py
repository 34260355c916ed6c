"""Series to the windows of L periods that the network reads; the scale of each series.

Rules of the room: a window ends before its target. A window may reach back over a cut (its values
are known by then); a target never does. A scale is of the periods that it is fitted on alone.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from export.demand.series import Doubles

OUTPUT: Final = "expected"  # of the graph
SCALE_MIN: Final = 1e-6  # below it a series does not move: scaled by 1

Floats = npt.NDArray[np.float32]


class Inputs(NamedTuple):
    """B forecasts to make: what the ONNX graph takes, by its names."""

    counts: Floats  # (B, L) the periods before, oldest first, in natural units
    scale: Floats  # (B,) standard deviation of the series in the train part
    season_index: npt.NDArray[np.int32]  # (B,) place of the forecast period in its season

    def rows(self, at: npt.NDArray[np.int64]) -> "Inputs":
        """Take some."""
        return Inputs(self.counts[at], self.scale[at], self.season_index[at])


# Inputs to the expected value of each forecast period, in natural units, not negative: (B,)
OneStep = Callable[[Inputs], Floats]


def fit_scale(counts: Doubles, end: int) -> Floats:
    """Give each series' standard deviation over the periods before `end`: (S,)."""
    std = counts[:, :end].std(axis=1)
    return np.where(std < SCALE_MIN, 1.0, std).astype(np.float32)


def inputs_of(
    counts: Doubles,
    scale: Floats,
    season_index: npt.NDArray[np.int32],
    look_back: int,
    first: int,
    last: int,
) -> Inputs:
    """Windows of the forecasts of periods `first` to `last` - 1, a series after the other.

    B = S (last - first). `first` is at least `look_back`; `last` at most T + 1, beyond the data.
    """
    origins = np.arange(first, last)
    at = origins[:, None] - look_back + np.arange(look_back)  # (N, L)
    series, n = len(counts), len(origins)
    return Inputs(
        counts[:, at].reshape(series * n, look_back).astype(np.float32),
        np.repeat(scale, n),
        np.tile(season_index[origins], series),
    )


def recursive_paths(one_step: OneStep, inputs: Inputs, season: int, horizon: int) -> Doubles:
    """Forecast H periods, each forecast taking the place of the value not known yet: (B, H)."""
    path = np.empty((len(inputs.scale), horizon))
    for ahead in range(horizon):
        expected = one_step(inputs)
        path[:, ahead] = expected
        inputs = inputs._replace(
            counts=np.concatenate([inputs.counts[:, 1:], expected[:, None]], axis=1),
            season_index=(inputs.season_index + 1) % np.int32(season),
        )
    return path


def horizon_sums(values: Doubles, horizon: int) -> Doubles:
    """Sum H periods from each on: (S, N) to (S, N - H + 1)."""
    windows = np.lib.stride_tricks.sliding_window_view(values, horizon, axis=1)
    return np.asarray(windows.sum(axis=2))
