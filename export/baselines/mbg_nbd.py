"""BG/NBD and MBG/NBD: buyers come at a rate of their own and may leave after any visit.

While alive a user comes as a Poisson process; the rate is gamma (r, alpha) among users. After a
visit the user leaves with a probability that is beta (a, b) among users. In BG/NBD (Fader, Hardie
and Lee, 2005) nobody leaves after the first visit, so everyone without a repeat counts as alive; in
MBG/NBD (Batislam, Denizel and Filiztekin, 2007; Hoppe and Wagner, 2007) one may.

Rules of the room: no labels. Numpy and scipy.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from export.baselines.histories import Doubles, Histories, fit_by_likelihood

_START: Final = np.array([0.5, 0.3, 1.0, 2.0])
_TIMED: Final = np.array([False, True, False, False])
_EXPECTED_NODES, _EXPECTED_WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True, slots=True)
class BetaGeometricNbd:
    """Fitted parameters; alpha has the unit of time of the histories."""

    r: float
    alpha: float
    a: float
    b: float
    first_may_be_last: bool  # True: MBG/NBD

    def log_likelihood(self, seen: Histories) -> Doubles:
        """Log-likelihood of each history: (B,)."""
        return _log_likelihood(seen, self._parameters(), self.first_may_be_last)

    def p_silent(self, seen: Histories, time: float) -> Doubles:
        """P(no visit in the next `time`): (B,).

        It is how much likelier the history is than the same one with that silence added.
        """
        longer = self.log_likelihood(seen.older(time))
        return np.asarray(np.exp(np.minimum(longer - self.log_likelihood(seen), 0.0)))

    def p_alive(self, seen: Histories) -> Doubles:
        """P(has not left for good): (B,)."""
        odds = _log_gone_odds(seen, self._parameters(), self.first_may_be_last)
        return np.asarray(special.expit(-odds))

    def expected(self, seen: Histories, time: float) -> Doubles:
        """Visits to come in the next `time`: (B,).

        The rate of visits at each moment of that time, integrated by 16 Gauss points; the closed
        form divides by a - 1.
        """
        k = (self.r + seen.repeats)[:, None]
        stays = (self.b + seen.repeats + self.first_may_be_last)[:, None]
        moments = (_EXPECTED_NODES + 1.0) * (time / 2.0)
        ages = (self.alpha + seen.age)[:, None]
        rate = special.hyp2f1(k + 1.0, self.a, self.a + stays, -moments / ages) * k / ages
        return np.asarray(self.p_alive(seen) * (rate @ _EXPECTED_WEIGHTS) * (time / 2.0))

    def _parameters(self) -> Doubles:
        return np.array([self.r, self.alpha, self.a, self.b])


def fit_bg_nbd(seen: Histories) -> BetaGeometricNbd:
    """Fit BG/NBD by maximum likelihood. Raises ValueError where there is nothing to fit."""
    return _fit(seen, first_may_be_last=False)


def fit_mbg_nbd(seen: Histories) -> BetaGeometricNbd:
    """Fit MBG/NBD by maximum likelihood. Raises ValueError where there is nothing to fit."""
    return _fit(seen, first_may_be_last=True)


def _fit(seen: Histories, *, first_may_be_last: bool) -> BetaGeometricNbd:
    def log_likelihood(histories: Histories, parameters: Doubles) -> Doubles:
        return _log_likelihood(histories, parameters, first_may_be_last)

    r, alpha, a, b = fit_by_likelihood(log_likelihood, seen, _START, _TIMED).tolist()
    return BetaGeometricNbd(r, alpha, a, b, first_may_be_last)


def _log_likelihood(seen: Histories, parameters: Doubles, first_may_be_last: bool) -> Doubles:
    r, alpha, a, b = parameters
    x = seen.repeats
    stays = x + first_may_be_last  # visits after which the user did not leave, if alive
    alive = special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha)
    alive += special.betaln(a, b + stays) - special.betaln(a, b)
    alive -= (r + x) * np.log(alpha + seen.age)
    return np.asarray(
        alive + np.logaddexp(0.0, _log_gone_odds(seen, parameters, first_may_be_last))
    )


def _log_gone_odds(seen: Histories, parameters: Doubles, first_may_be_last: bool) -> Doubles:
    """Log odds of having left after the last visit, against being alive."""
    r, alpha, a, b = parameters
    stays = seen.repeats + first_may_be_last
    silence = (r + seen.repeats) * np.log((alpha + seen.age) / (alpha + seen.last))
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(a) - np.log(b + stays - 1.0) + silence
    return np.asarray(np.where(stays > 0, odds, -np.inf))
