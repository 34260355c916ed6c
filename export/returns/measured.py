"""Measures of probabilities of a return, with intervals; one row a model.

Rules of the room: customers are drawn with replacement, the same draws for all models, so that a
difference is taken draw by draw.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from export.evaluation.intervals import Draws, draw_users, interval, mean_of, replicas
from export.evaluation.probabilities import (
    brier,
    calibration_error,
    log_loss,
    roc_auc,
    row_log_loss,
    weighted_roc_auc,
)
from export.returns.purchases import Doubles
from export.returns.samples import Flags

DRAWS: Final = 400


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its interval of 95 %."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on one set of customers."""

    auroc: Interval
    log_loss: Interval
    brier: float
    calibration_error: float
    mean: float  # probability: beside the share that returned
    auroc_gain: Interval  # over the reference
    log_loss_gain: Interval  # below the reference: more is better


def measured(
    probability: dict[str, Doubles], returned: Flags, reference: str, seed: int
) -> dict[str, Measured]:
    """Measure each model (B,), beside the reference. About 2 ms a draw and model."""
    draws = draw_users(np.arange(len(returned)), seed, DRAWS)
    drawn = {name: _drawn(value, returned, draws) for name, value in probability.items()}
    base, base_drawn = probability[reference], drawn[reference]
    return {
        name: Measured(
            Interval(roc_auc(value, returned), *interval(drawn[name][0])),
            Interval(log_loss(value, returned), *interval(drawn[name][1])),
            brier(value, returned),
            calibration_error(value, returned),
            float(value.mean()),
            Interval(
                roc_auc(value, returned) - roc_auc(base, returned),
                *interval(drawn[name][0] - base_drawn[0]),
            ),
            Interval(
                log_loss(base, returned) - log_loss(value, returned),
                *interval(base_drawn[1] - drawn[name][1]),
            ),
        )
        for name, value in probability.items()
    }


def _drawn(value: Doubles, returned: Flags, draws: Draws) -> tuple[Doubles, Doubles]:
    return (
        replicas(weighted_roc_auc(value, returned), draws),
        replicas(mean_of(row_log_loss(value, returned)), draws),
    )
