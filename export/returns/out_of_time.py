"""Out of time: learned from labels that lie before the cut, asked about the days after it.

Rules of the room: nothing after the last day of the past is used but for measuring. What is learned
at earlier cuts must hold for older customers and another horizon, so every column is said in terms
of what Pareto/NBD, fitted on the past of that cut, expects (samples.buyer_columns). Which of the
candidates is the answer is decided by a rehearsal: the same, half a horizon earlier, measured on
days that are past too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy import special

from export.baselines.logistic import fit_logistic
from export.baselines.pareto_nbd import ParetoNbd, fit_pareto_nbd
from export.evaluation.probabilities import log_loss
from export.returns.boosting import boosted
from export.returns.kept import Kept
from export.returns.purchases import Doubles, Purchases
from export.returns.samples import Sample, buyer_columns, clipped, sample_at
from export.returns.sequence_model import Recipe, Rows, joined, step_columns, train

CUTS_PER_HORIZON: Final = 6  # several cuts stand a sixth of the horizon apart
PARETO: Final = "Pareto/NBD"
ONE_CUT: Final = "one cut"
CUTS: Final = "several cuts"
LEARNERS: Final = ("logistic regression", "gradient boosting", "LSTM")


class Cut(NamedTuple):
    """What is known at a cut, and what Pareto/NBD makes of it."""

    sample: Sample
    buyers: ParetoNbd

    @property
    def expected_logit(self) -> Doubles:
        """Logit of Pareto/NBD's chance of a return: (B,)."""
        silent = self.buyers.p_silent(self.sample.histories, self.sample.horizon)
        return np.asarray(-special.logit(clipped(silent)))


class Learned(NamedTuple):
    """What was learned from."""

    last_days: list[int]
    horizon: int  # days of the labels
    share: float  # that returned in them


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers of all candidates at one cut."""

    sample: Sample
    probability: dict[str, Doubles]  # candidate -> (B,)
    learned: dict[str, Learned]  # ONE_CUT, CUTS


@dataclass(frozen=True, slots=True)
class OutOfTime:
    """The rehearsal, the test, and the candidate that the rehearsal chose."""

    rehearsal: Asked
    test: Asked
    chosen: str


def out_of_time(
    purchases: Purchases,
    days: tuple[int, int, int],
    seeds: range,
    recipe: Recipe,
    kept: Kept,
    say: Callable[[str], None],
) -> OutOfTime:
    """Learn and ask. `days`: last day of the inner past, of the past, of what is asked.

    Raises ValueError where a cut has nobody or one answer only.
    """
    inner, last, end = days
    ask = _Asker(purchases, seeds, recipe, kept, say)
    half = (end - last) // 2
    rehearsal = ask.at("rehearsal", (last - 2 * half, last - half, last))
    test = ask.at("test", (inner, last, end))
    learned = {name: value for name, value in rehearsal.probability.items() if name != PARETO}
    loss = {name: log_loss(value, rehearsal.sample.returned) for name, value in learned.items()}
    return OutOfTime(rehearsal, test, min(loss, key=lambda name: loss[name]))


def cuts_within(inner: int, last: int, end: int) -> list[int]:
    """Last days of the several cuts, newest first: their labels of half a horizon end by `last`."""
    half = (end - last) // 2
    step = max(1, (end - last) // CUTS_PER_HORIZON)
    return list(range(last - half, inner - 1, -step)) or [inner]


class _Asker:
    """Fits each cut's Pareto/NBD once."""

    def __init__(
        self,
        purchases: Purchases,
        seeds: range,
        recipe: Recipe,
        kept: Kept,
        say: Callable[[str], None],
    ) -> None:
        self._purchases = purchases
        self._steps = step_columns(purchases)
        self._seeds = seeds
        self._recipe = recipe
        self._kept = kept
        self._say = say
        self._buyers: dict[int, ParetoNbd] = {}

    def at(self, name: str, days: tuple[int, int, int]) -> Asked:
        """Learn from cuts whose labels end by the middle day, ask what comes after it."""
        inner, last, end = days
        asked = self._cut(last, end - last)
        half = (end - last) // 2
        past = {
            ONE_CUT: [self._cut(inner, last - inner)],
            CUTS: [self._cut(day, half) for day in cuts_within(inner, last, end)],
        }
        probability = {PARETO: np.asarray(special.expit(asked.expected_logit))}
        for cuts_name, cuts in past.items():
            for learner in LEARNERS:
                self._say(f"{name}: {learner}, {cuts_name}")
                probability[f"{learner}, {cuts_name}"] = self._kept.answer(
                    f"{name}-{learner}-{cuts_name}".replace(" ", "-"),
                    lambda: self._answer(learner, cuts, asked),  # noqa: B023 - at once
                )
        learned = {cuts_name: _learned(cuts) for cuts_name, cuts in past.items()}
        return Asked(asked.sample, probability, learned)

    def _cut(self, day: int, horizon: int) -> Cut:
        sample = sample_at(self._purchases, day, horizon)
        if day not in self._buyers:
            self._buyers[day] = fit_pareto_nbd(sample.histories)
        return Cut(sample, self._buyers[day])

    def _answer(self, learner: str, cuts: list[Cut], asked: Cut) -> Doubles:
        label = np.concatenate([cut.sample.returned for cut in cuts])
        if learner == "LSTM":
            return self._lstm(cuts, label, asked)
        columns = np.concatenate([buyer_columns(*cut) for cut in cuts])
        if learner == "logistic regression":
            fitted = fit_logistic(columns, label.astype(np.int64))
            return fitted.predict(buyer_columns(*asked))
        return boosted(columns, label, buyer_columns(*asked), self._seeds[0])

    def _lstm(self, cuts: list[Cut], label: np.ndarray, asked: Cut) -> Doubles:
        """Mean of all seeds' logits. The network corrects Pareto/NBD's logit."""
        learned = joined([_rows(cut) for cut in cuts])
        logits = [
            train(self._steps, learned, label, seed, self._recipe).logits(_rows(asked))
            for seed in self._seeds
        ]
        return np.asarray(special.expit(np.mean(logits, axis=0)))


def _rows(cut: Cut) -> Rows:
    sample = cut.sample
    return Rows(sample.first, sample.count, buyer_columns(*cut), cut.expected_logit)


def _learned(cuts: list[Cut]) -> Learned:
    returned = np.concatenate([cut.sample.returned for cut in cuts])
    days = [cut.sample.last_day for cut in cuts]
    return Learned(days, cuts[0].sample.horizon, float(returned.mean()))
