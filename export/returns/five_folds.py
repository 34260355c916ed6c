"""Five folds of customers: each is asked by what has learned from the other four.

Rules of the room: labels of the asked fold are seen by nothing that answers it. The buyer models
see no label at all, so they are fitted once, on the pasts of all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from export.baselines.histories import Histories
from export.baselines.logistic import fit_logistic
from export.baselines.mbg_nbd import BetaGeometricNbd, fit_bg_nbd, fit_mbg_nbd
from export.baselines.pareto_nbd import ParetoNbd, fit_pareto_nbd
from export.returns.boosting import boosted
from export.returns.kept import Kept
from export.returns.purchases import Doubles, Integers
from export.returns.samples import Sample, elapsed, recency_frequency_money
from export.returns.sequence_model import Recipe, Rows, step_columns, train

FOLDS: Final = 5
LSTM: Final = "LSTM"
LOGISTIC: Final = "logistic regression"
BOOSTING: Final = "gradient boosting"
Buyer = ParetoNbd | BetaGeometricNbd
BUYERS: Final[dict[str, Callable[[Histories], Buyer]]] = {
    "Pareto/NBD": fit_pareto_nbd,
    "MBG/NBD": fit_mbg_nbd,
    "BG/NBD": fit_bg_nbd,
}


@dataclass(frozen=True, slots=True)
class FiveFolds:
    """Answers of every model for B customers, each by a model that has not seen the label."""

    sample: Sample
    fold: Integers  # (B,) from 0
    probability: dict[str, Doubles]  # model -> (B,)
    single: list[Doubles]  # the LSTM of each seed alone: (B,)
    alive: dict[str, Doubles]  # buyer model -> P(alive) (B,): what it is taken for, wrongly
    buyers: dict[str, Buyer]


def folds_of(returned: np.ndarray, seed: int) -> Integers:
    """Deal customers to folds, those who return and those who do not apart: (B,)."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(returned), np.int64)
    for answer in (False, True):
        rows = rng.permutation(np.flatnonzero(returned == answer))
        fold[rows] = np.arange(len(rows)) % FOLDS
    return fold


def five_folds(
    sample: Sample, seeds: range, recipe: Recipe, kept: Kept, say: Callable[[str], None]
) -> FiveFolds:
    """Ask every model. Raises ValueError where a class has too few customers for five folds."""
    fewest = min(int(sample.returned.sum()), int((~sample.returned).sum()))
    if fewest < FOLDS:
        raise ValueError(f"{fewest} customers of one answer: too few for {FOLDS} folds")
    fold = folds_of(sample.returned, seeds[0])
    columns = recency_frequency_money(sample)
    rows = Rows(sample.first, sample.count, elapsed(sample), np.zeros(len(sample)))
    steps = step_columns(sample.purchases)

    def lstm(number: int, learned: Integers, asked: Integers) -> Doubles:
        made = train(steps, rows.at(learned), sample.returned[learned], number, recipe)
        return made.logits(rows.at(asked))

    def logistic(learned: Integers, asked: Integers) -> Doubles:
        fitted = fit_logistic(columns[learned], sample.returned[learned].astype(np.int64))
        return fitted.predict(columns[asked])

    def boosting(learned: Integers, asked: Integers) -> Doubles:
        return boosted(columns[learned], sample.returned[learned], columns[asked], seeds[0])

    def every(name: str, answer: Callable[[Integers, Integers], Doubles]) -> Doubles:
        """Answers of all folds, each kept by itself."""
        out = np.empty(len(sample))
        for index in range(FOLDS):
            asked, learned = np.flatnonzero(fold == index), np.flatnonzero(fold != index)
            say(f"fold {index + 1} of {FOLDS}: {name}")
            file = f"fold-{index + 1}-{name.replace(' ', '-')}"
            out[asked] = kept.answer(file, lambda: answer(learned, asked))  # noqa: B023 - at once
        return out

    logits = [
        every(f"{LSTM} seed {number}", lambda *parts: lstm(number, *parts))  # noqa: B023 - at once
        for number in seeds
    ]
    say("buyer models")
    buyers = {name: fit(sample.histories) for name, fit in BUYERS.items()}
    silent = {
        name: fitted.p_silent(sample.histories, sample.horizon) for name, fitted in buyers.items()
    }
    return FiveFolds(
        sample,
        fold,
        {
            LSTM: special.expit(np.mean(logits, axis=0)),
            BOOSTING: every(BOOSTING, boosting),
            LOGISTIC: every(LOGISTIC, logistic),
            **{name: 1.0 - value for name, value in silent.items()},
        },
        [special.expit(value) for value in logits],
        {name: fitted.p_alive(sample.histories) for name, fitted in buyers.items()},
        buyers,
    )
