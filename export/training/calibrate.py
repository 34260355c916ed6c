"""Calibration: scale and shift of each binary logit, fitted on users that training has not seen.

Rules of the room: Platt's two numbers per output, folded into the last layer, so that serving does
not know of them; the manifest keeps them for the record. An output with too few labels stays as it
is.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from export.baselines.logistic import fit_logistic
from export.bundles.weights import OUTPUTS
from export.dataset.labels import Labels
from export.dataset.record import Integers
from stream.core.layout import EVENT_TYPES, HAZARD_BINS

LABELS_MIN: Final = 500
CLASS_MIN: Final = 30  # of either answer
_PURCHASE: Final = len(EVENT_TYPES)

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """logit' = scale * logit + shift, per output column: (12,) each."""

    scale: Doubles
    shift: Doubles

    def described(self) -> dict[str, Any]:
        """Say it for the manifest."""
        names = ["purchase", *(f"hazard_{index}" for index in range(HAZARD_BINS))]
        pairs = zip(self.scale[_PURCHASE:], self.shift[_PURCHASE:], strict=True)
        return {
            name: {"scale": round(float(scale), 6), "shift": round(float(shift), 6)}
            for name, (scale, shift) in zip(names, pairs, strict=True)
        }


def calibrate(logits: npt.NDArray[np.float32], labels: Labels, rows: Integers) -> Calibration:
    """Fit on the given rows; `logits` (B', 12) are of these rows."""
    scale, shift = np.ones(OUTPUTS), np.zeros(OUTPUTS)
    answers = np.concatenate([labels.purchase[rows, None], labels.hazard[rows]], axis=1)
    for index in range(answers.shape[1]):
        column = _PURCHASE + index
        logit = logits[:, column].astype(np.float64)
        scale[column], shift[column] = platt(logit, answers[:, index])
    return Calibration(scale, shift)


def platt(logit: Doubles, answer: Integers) -> tuple[float, float]:
    """Fit scale and shift of one logit (B,); answers that are negative are unknown.

    (1, 0) where there are too few answers: leave it as trained. The scale is never negative: of a
    logit that says nothing, or the contrary, the share of the answers is all that is left.
    """
    known = answer >= 0
    ones = int(answer[known].sum())
    if known.sum() < LABELS_MIN or not CLASS_MIN <= ones <= known.sum() - CLASS_MIN:
        return 1.0, 0.0
    fitted = fit_logistic(logit[known, None], answer[known])
    if fitted.weights[0] <= 0:
        share = ones / int(known.sum())
        return 0.0, float(np.log(share) - np.log1p(-share))
    scale = float(fitted.weights[0] / fitted.std[0])
    return scale, float(fitted.weights[1] - scale * fitted.mean[0])
