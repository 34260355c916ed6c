"""Measures of a number that was predicted: squared distances."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def mse(predicted: npt.NDArray[np.floating], true: npt.NDArray[np.floating]) -> float:
    """Mean squared error, in the square of the values' unit."""
    return float(((predicted.astype(np.float64) - true) ** 2).mean())


def rmse(predicted: npt.NDArray[np.floating], true: npt.NDArray[np.floating]) -> float:
    """Root of the mean squared error, in the values' unit."""
    return float(np.sqrt(mse(predicted, true)))
