"""The shift of the base rate between what was learned and what is asked, and what it costs.

Rules of the room: a correction knows no later label. Pareto/NBD says from the past alone what share
it expects back; adding one constant to all logits makes that a model's mean probability, and leaves
its order, so its AUROC, as it is. The last field uses the later share: it is no answer, it says
how much of a log-loss is the base rate's.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from export.evaluation.probabilities import log_loss
from export.returns.out_of_time import PARETO, Asked
from export.returns.purchases import Doubles
from export.returns.samples import clipped


@dataclass(frozen=True, slots=True)
class Shift:
    """One candidate."""

    learned_share: float  # that returned after the cuts it has learned from; NaN: no labels
    mean: float  # probability that it gives
    as_learned: float  # log-loss
    corrected: float  # log-loss with the share that Pareto/NBD expects
    share_known: float  # log-loss if the later share had been known: not an answer


def shifts(asked: Asked) -> dict[str, Shift]:
    """Measure the correction on every candidate."""
    returned = asked.sample.returned
    expected = float(asked.probability[PARETO].mean())
    out = {}
    for name, value in asked.probability.items():
        cuts = name.partition(", ")[2]
        out[name] = Shift(
            asked.learned[cuts].share if cuts else float("nan"),
            float(value.mean()),
            log_loss(value, returned),
            log_loss(shifted_to(value, expected), returned),
            log_loss(shifted_to(value, asked.sample.share), returned),
        )
    return out


def shifted_to(probability: Doubles, share: float) -> Doubles:
    """Add to all logits the constant with which the mean probability is `share`: (B,)."""
    logits = special.logit(clipped(probability))

    def apart(constant: float) -> float:
        return float(special.expit(logits + constant).mean()) - share

    return np.asarray(special.expit(logits + optimize.brentq(apart, -20.0, 20.0)))
