"""Pareto/NBD: buyers come at a rate of their own and leave at a moment of their own, unseen.

Schmittlein, Morrison and Colombo, "Counting your customers" (1987). While alive a user comes as a
Poisson process; the rate is gamma (r, alpha) among users, the rate of leaving gamma (s, beta). The
likelihood is the one of Fader and Hardie, "A note on deriving the Pareto/NBD model" (2005), its
integral taken numerically: the 2F1 it is usually written with overflows for a hundred visits.

Rules of the room: no labels. Numpy and scipy.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from export.baselines.histories import Doubles, Histories, fit_by_likelihood

_START: Final = np.array([1.0, 0.5, 1.0, 0.5])
_TIMED: Final = np.array([False, True, False, True])

# Double exponential quadrature on [0, 1] (Takahasi and Mori, 1974).
_STEP: Final = 0.2
_SINH: Final = np.pi * np.sinh(_STEP * np.arange(-16, 17))
_POINTS: Final = special.expit(_SINH)
_WEIGHTS: Final = _STEP * np.sqrt(np.pi**2 + _SINH**2) * _POINTS * special.expit(-_SINH)


@dataclass(frozen=True, slots=True)
class ParetoNbd:
    """Fitted parameters; alpha and beta have the unit of time of the histories."""

    r: float
    alpha: float
    s: float
    beta: float

    def log_likelihood(self, seen: Histories) -> Doubles:
        """Log-likelihood of each history: (B,)."""
        return _log_likelihood(seen, self._parameters())

    def p_silent(self, seen: Histories, time: float) -> Doubles:
        """P(no visit in the next `time`): (B,).

        It is how much likelier the history is than the same one with that silence added.
        """
        longer = self.log_likelihood(seen.older(time))
        return np.asarray(np.exp(np.minimum(longer - self.log_likelihood(seen), 0.0)))

    def p_alive(self, seen: Histories) -> Doubles:
        """P(has not left for good): (B,)."""
        return np.asarray(special.expit(-_log_gone_odds(seen, self._parameters())))

    def expected(self, seen: Histories, time: float) -> Doubles:
        """Visits to come in the next `time`: (B,)."""
        rate = (self.r + seen.repeats) / (self.alpha + seen.age)
        stretch = np.log1p(time / (self.beta + seen.age))
        alive_time = (self.beta + seen.age) * _one_minus_exp(stretch, self.s - 1.0)
        return np.asarray(self.p_alive(seen) * rate * alive_time)

    def _parameters(self) -> Doubles:
        return np.array([self.r, self.alpha, self.s, self.beta])


def fit_pareto_nbd(seen: Histories) -> ParetoNbd:
    """Fit by maximum likelihood. Raises ValueError where there is nothing to fit."""
    return ParetoNbd(*fit_by_likelihood(_log_likelihood, seen, _START, _TIMED).tolist())


def _log_likelihood(seen: Histories, parameters: Doubles) -> Doubles:
    r, alpha, s, beta = parameters
    x = seen.repeats
    front = special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    alive = front - (r + x) * np.log(alpha + seen.age) - s * np.log(beta + seen.age)
    return np.asarray(alive + np.logaddexp(0.0, _log_gone_odds(seen, parameters)))


def _log_gone_odds(seen: Histories, parameters: Doubles) -> Doubles:
    """Log odds of having left between the last visit and the cut, against being alive.

    s times the integral over the moment of leaving u of (alpha + u)^-(r+x) (beta + u)^-(s+1), over
    the same at the cut, in y = log(u + the smaller of alpha and beta): double exponential points
    lie as dense at the last visit as the many visits of a busy user need.
    """
    r, alpha, s, beta = parameters
    k = (r + seen.repeats)[:, None]
    least, most = min(alpha, beta), max(alpha, beta)
    last, age = seen.last[:, None], seen.age[:, None]
    span = np.log((least + age) / (least + last))
    before_cut = span * (1.0 - _POINTS)  # (B, points) log((least + age) / (least + u))
    other = np.log((most + age) / ((least + age) * np.exp(-before_cut) + most - least))
    by_visits, by_leaving = (before_cut, other) if alpha <= beta else (other, before_cut)
    inside = k * by_visits + (s + 1.0) * by_leaving - before_cut
    peak = inside[:, 0]
    integral = np.exp(inside - peak[:, None]) @ _WEIGHTS
    with np.errstate(divide="ignore"):  # no time since the last visit: nobody has left
        return np.asarray(
            np.log(s * span[:, 0] * integral * (least + seen.age) / (beta + seen.age)) + peak
        )


def _one_minus_exp(stretch: Doubles, rate: float) -> Doubles:
    """(1 - exp(-rate stretch)) / rate, which is `stretch` at rate 0."""
    if abs(rate) < 1e-9:
        return stretch
    return np.asarray(-np.expm1(-rate * stretch) / rate)
