"""Answers that are the same for all, and answers from a user's rhythm alone.

Rules of the room: whatever these reach, a model must pass. Rates are smoothed by one row of each
answer. Silence is answered as hazards per bin; Platt's calibration on validation, as for models.
"""

from dataclasses import dataclass, field

import numpy as np

from export.baselines.gaps import hazard_rates, population_gap_log
from export.baselines.histories import Histories
from export.baselines.logistic import Logistic, fit_logistic, sigmoid
from export.baselines.mbg_nbd import BetaGeometricNbd, fit_mbg_nbd
from export.dataset.past import Past
from export.dataset.record import Integers
from export.models.contract import (
    HAZARD,
    NEXT_ACTION,
    PURCHASE,
    Doubles,
    Part,
    Say,
    answers,
    known,
)
from export.training.calibrate import platt
from stream.core.config import DAY_MS
from stream.core.layout import EVENT_TYPES

_EDGE = 1e-6


@dataclass
class BaseRate:
    """Shares of the answers in the training rows."""

    questions: frozenset[str] = field(
        default=frozenset({NEXT_ACTION, PURCHASE, HAZARD}), init=False, repr=False
    )
    rates: dict[str, Doubles] = field(default_factory=dict, init=False, repr=False)

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Count."""
        del validation, seed, say
        target = answers(NEXT_ACTION, known(NEXT_ACTION, train))
        counts = np.bincount(target, minlength=len(EVENT_TYPES)) + 1.0
        bought = answers(PURCHASE, known(PURCHASE, train))
        self.rates = {
            NEXT_ACTION: counts / counts.sum(),
            PURCHASE: np.array((bought.sum() + 1.0) / (len(bought) + 2.0)),
            HAZARD: hazard_rates(answers(HAZARD, train)),
        }

    def predict(self, question: str, part: Part) -> Doubles:
        """Give everyone the same."""
        if question not in self.rates:
            raise ValueError(f"{question}: not answered, or not fitted")
        rate = self.rates[question]
        return np.array(np.broadcast_to(rate, (len(part.rows), *rate.shape)))

    def size_bytes(self) -> int:
        """Bytes of the rates."""
        return sum(rate.nbytes for rate in self.rates.values())


@dataclass
class PersonalGap:
    """The personal-gap rule: how long a silence is beside the user's own gap between visits.

    A hazard per bin by logistic regression on log(bin's end / own gap), the gap being shrunk to
    the population's by `prior` visits.
    """

    prior: float = 2.0
    questions: frozenset[str] = field(default=frozenset({HAZARD}), init=False, repr=False)
    population: float = field(default=0.0, init=False, repr=False)
    fitted: list[Logistic | float] = field(default_factory=list, init=False, repr=False)

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Fit one regression per bin; a bin with one answer only gets its base rate."""
        del validation, seed, say
        self.population = population_gap_log(_past(train))
        ratio, target = self._ratio(train), answers(HAZARD, train)
        base = hazard_rates(target)
        self.fitted = []
        for bin_ in range(target.shape[1]):
            at_risk = target[:, bin_] >= 0
            answer = target[at_risk, bin_]
            told_apart = 0 < answer.sum() < len(answer)
            columns = ratio[at_risk, bin_, None]
            self.fitted.append(fit_logistic(columns, answer) if told_apart else float(base[bin_]))

    def predict(self, question: str, part: Part) -> Doubles:
        """Compare each bin's end with the user's gap."""
        if question not in self.questions or not self.fitted:
            raise ValueError(f"{question}: not answered, or not fitted")
        ratio = self._ratio(part)
        out = np.empty(ratio.shape)
        for bin_, one in enumerate(self.fitted):
            out[:, bin_] = one if isinstance(one, float) else one.predict(ratio[:, bin_, None])
        return out

    def size_bytes(self) -> int:
        """Bytes of the regressions: mean, deviation and two weights a bin."""
        return 8 * (1 + 4 * len(self.fitted))

    def _ratio(self, part: Part) -> Doubles:
        gap = _past(part).shrunk_gap_log(self.population, self.prior)
        return np.asarray(np.log(np.array(part.edges_ms, np.float64)) - gap[:, None])


@dataclass
class MbgNbd:
    """MBG/NBD on visits (export/baselines/mbg_nbd.py), in days: no labels but for calibration."""

    users_max: int = 5_000
    questions: frozenset[str] = field(default=frozenset({HAZARD}), init=False, repr=False)
    fitted: BetaGeometricNbd | None = field(default=None, init=False, repr=False)
    scale: Doubles = field(default_factory=lambda: np.ones(1), init=False, repr=False)
    shift: Doubles = field(default_factory=lambda: np.zeros(1), init=False, repr=False)

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Fit on the users' visits until the end of train, calibrate each bin on validation."""
        newest = _newest_rows(train)
        if len(newest) > self.users_max:
            rng = np.random.default_rng(seed)
            newest = np.sort(rng.choice(newest, self.users_max, replace=False))
        say(f"visits of {len(newest)} users")
        seen = _histories(train.at(newest))
        silence = train.data.labels.seen_ms[newest] / DAY_MS
        self.fitted = fit_mbg_nbd(Histories(seen.repeats, seen.last, seen.age + silence))
        later = answers(HAZARD, validation)
        logit = _logit(self._hazard(validation))
        pairs = [platt(logit[:, bin_], later[:, bin_]) for bin_ in range(later.shape[1])]
        self.scale, self.shift = np.array(pairs).T

    def predict(self, question: str, part: Part) -> Doubles:
        """Give the chance of a visit in each bin of silence, given silence until it."""
        if question not in self.questions:
            raise ValueError(f"{question}: not answered")
        return sigmoid(_logit(self._hazard(part)) * self.scale + self.shift)

    def size_bytes(self) -> int:
        """Bytes of the parameters."""
        return 8 * 4 + self.scale.nbytes + self.shift.nbytes

    def _hazard(self, part: Part) -> Doubles:
        if self.fitted is None:
            raise ValueError(f"{HAZARD}: not fitted")
        seen = _histories(part)
        silent = [self.fitted.p_silent(seen, edge / DAY_MS) for edge in part.edges_ms]
        survival = np.column_stack([np.ones(len(part.rows)), *silent])
        return np.asarray(1.0 - survival[:, 1:] / np.maximum(survival[:, :-1], 1e-300))


def _past(part: Part) -> Past:
    if part.past is None:
        raise ValueError("this part was made without the past of its users")
    return part.past.at(part.rows)


def _histories(part: Part) -> Histories:
    """Visits of each row's user up to the row, in days: nothing is silent yet."""
    past = _past(part)
    span = past.span_ms / DAY_MS
    return Histories((past.visits - 1).astype(np.float64), span, span)


def _newest_rows(part: Part) -> Integers:
    """Last row of each user."""
    rows = part.rows[np.argsort(part.time_ms(), kind="stable")]
    user = part.data.user[rows]
    _, backwards = np.unique(user[::-1], return_index=True)
    return np.sort(rows[len(rows) - 1 - backwards])


def _logit(p: Doubles) -> Doubles:
    held = np.clip(p, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(held) - np.log1p(-held))
