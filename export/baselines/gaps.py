"""Churn without a model: the population's hazard, and the user's own rhythm.

Rules of the room: numpy only.
"""

import numpy as np
import numpy.typing as npt

from export.dataset.labels import Labels
from export.dataset.past import Past, past_of
from export.dataset.record import Integers, Recorded

Doubles = npt.NDArray[np.float64]


def base_hazard(labels: Labels) -> Doubles:
    """Hazard per bin of the whole population: (bins,)."""
    return hazard_rates(labels.hazard)


def hazard_rates(hazard: Integers) -> Doubles:
    """Hazard per bin of some rows' labels (B, bins), see labels.hazard_labels: (bins,)."""
    at_risk = (hazard >= 0).sum(axis=0)
    return np.asarray(((hazard == 1).sum(axis=0) + 0.5) / (at_risk + 1.0))


def survival(hazard: Doubles, edges_ms: tuple[int, ...], silence_ms: float) -> Doubles:
    """S(silence) of (B, bins) hazards: log S is linear within a bin; the last rate goes on."""
    lower = np.array([0.0, *edges_ms[:-1]])
    width = np.array(edges_ms) - lower
    inside = np.clip((silence_ms - lower) / width, 0.0, 1.0)
    inside[-1] = max(0.0, (silence_ms - lower[-1]) / width[-1])
    return np.asarray(np.exp(np.log1p(-hazard) @ inside))


def personal_gaps(recorded: Recorded, prior: float = 2.0) -> Doubles:
    """Median gap between a user's visits so far, in ms, shrunk to the population: (B,).

    The shrinkage is on the log scale, by `prior` visits' worth of the population's median.
    """
    past = past_of(recorded.user, recorded.rows["as_of_ms"].astype(np.int64))
    return np.asarray(np.exp(past.shrunk_gap_log(population_gap_log(past), prior)))


def population_gap_log(past: Past) -> float:
    """Median of the logarithms of all gaps (ms) between visits."""
    return float(np.nanmedian(past.fresh_log))
