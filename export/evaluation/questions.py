"""The questions of a comparison: which rows are asked, what is kept of an answer, how it is judged.

Rules of the room: the same rows for every model. What is kept of an answer is small (the rank of
the item that came, not a score per item) and enough for every measure of its question.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from export.evaluation import classes, probabilities, ranking
from export.evaluation.intervals import Measure, mean_of
from export.evaluation.silence import silent_rows, stays_silent
from export.models.contract import (
    HAZARD,
    NEXT_ACTION,
    NEXT_ITEM,
    PURCHASE,
    QUESTIONS,
    Model,
    Part,
    answers,
    known,
)
from stream.core.features import HEAD_FEATURES
from stream.core.layout import EVENT_TYPES

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

USERS_MIN: Final = 20  # of either answer: below it a question of yes or no says nothing
_STEPS_COUNT: Final = [name for name, _, _ in HEAD_FEATURES].index("steps_count")


@dataclass(frozen=True, slots=True)
class Column:
    """A measure as a column of the report."""

    name: str
    better: int  # 1: more is better; -1: less is
    percent: bool  # shown in per cent
    text: str  # for a reader who has never met it
    digits: int = 3  # after the point, where it is no per cent


@dataclass(frozen=True, slots=True)
class Asked:
    """B rows of one split whose answer is known."""

    question: str
    part: Part
    truth: Integers  # (B,) next item and action: class; otherwise 1: yes, 0: no
    user: Integers  # (B,)
    steps: Integers  # (B,) steps of the user so far


@dataclass(frozen=True, slots=True)
class Churn:
    """What is asked of silence."""

    silence_ms: int
    horizon_ms: int


_YES_OR_NO: Final = (
    Column("ROC AUC", 1, False, "chance that a case of yes gets more than a case of no; 0.5: luck"),
    Column("PR AUC", 1, False, "mean precision over all recalls; luck: the share of yes"),
    Column("log-loss", -1, False, "mean of -log of the probability given to what happened", 4),
    Column("Brier", -1, False, "mean squared error (MSE) of the probability", 4),
    Column("RMSE", -1, False, "root of it, in units of probability", 4),
    Column("ECE", -1, False, "expected calibration error: how far said and seen shares differ", 4),
)
COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    NEXT_ITEM: (
        Column("P@10", 1, True, "share of rows whose item is among the first 10; = recall@10"),
        Column("P@20", 1, True, "the same for the first 20; = recall@20"),
        Column("MRR@20", 1, True, "mean of 1 / rank of the item that came, 0 beyond rank 20"),
        Column("NDCG@20", 1, True, "mean of 1 / log2(1 + rank), 0 beyond rank 20"),
    ),
    NEXT_ACTION: (
        Column("log-loss", -1, False, "mean of -log of the probability given to what happened", 4),
        Column("ROC AUC", 1, False, "of each action against the rest, mean over actions"),
        Column("PR AUC", 1, False, "of each action against the rest, mean over actions"),
        Column("accuracy", 1, True, "share of rows whose most probable action came"),
        Column("precision", 1, True, "right among those called so; mean over actions"),
        Column("recall", 1, True, "found among those that are so; mean over actions"),
        Column("F1", 1, True, "harmonic mean of precision and recall, per action; mean"),
        Column(
            "Brier", -1, False, "squared distance of the probabilities from what came, summed", 4
        ),
        Column("ECE", -1, False, "calibration error of the most probable action", 4),
    ),
    PURCHASE: _YES_OR_NO,
    HAZARD: _YES_OR_NO,
}
# What models are chosen by, on validation: proper scores for probabilities.
PRIMARY: Final = {
    NEXT_ITEM: "P@10",
    NEXT_ACTION: "log-loss",
    PURCHASE: "log-loss",
    HAZARD: "log-loss",
}


def ask(question: str, part: Part, churn: Churn) -> Asked:
    """Find the rows of a part whose answer is known. Raises ValueError where they say nothing."""
    if question == HAZARD:
        found = silent_rows(part.data.labels, churn.silence_ms, churn.horizon_ms)
        kept = np.isin(found.rows, part.rows)
        held, truth = part.at(found.rows[kept]), found.stayed[kept].astype(np.int64)
    else:
        held = known(question, part)
        truth = answers(question, held) - (question == NEXT_ITEM)
    user = held.data.user[held.rows]
    if question in {PURCHASE, HAZARD}:
        users = [len(np.unique(user[truth == answer])) for answer in (1, 0)]
        if min(users) < USERS_MIN:
            raise ValueError(
                f"{users[0]} users with a yes and {users[1]} with a no; {USERS_MIN} of each needed"
            )
    elif len(np.unique(user)) < USERS_MIN:
        raise ValueError(f"{len(np.unique(user))} users; {USERS_MIN} are needed")
    steps = np.rint(np.expm1(held.data.head[held.rows, _STEPS_COUNT])).astype(np.int64)
    return Asked(question, held, truth, user, steps)


def answer(model: Model, asked: Asked, churn: Churn) -> npt.NDArray[np.floating]:
    """Ask a model and keep what the measures need, in the order of the rows asked.

    Next item: the rank of what came (B,). Next action (B, C). Purchase and silence (B,).
    Raises ValueError on answers that are no probabilities.
    """
    part = asked.part
    if asked.question == NEXT_ITEM:
        rank = np.empty(len(part.rows))
        for places, block in part.blocks():
            rank[places] = ranking.target_ranks(
                model.predict(NEXT_ITEM, block), asked.truth[places]
            )
        return rank
    made = model.predict(asked.question, part)
    if not (np.isfinite(made).all() and made.min() >= 0 and made.max() <= 1 + 1e-6):
        raise ValueError(f"{asked.question}: answers that are no probabilities")
    if asked.question == HAZARD:
        made = stays_silent(made, part.edges_ms, churn.silence_ms, churn.horizon_ms)
    return made.astype(np.float32)


def measures(asked: Asked, kept: npt.NDArray[np.floating]) -> dict[str, Measure]:
    """Measures of one model's kept answers, in the order of COLUMNS: each takes row weights."""
    if asked.question == NEXT_ITEM:
        made = _of_ranks(kept.astype(np.float64))
    elif asked.question == NEXT_ACTION:
        made = _of_classes(kept.astype(np.float64), asked.truth)
    else:
        made = _of_yes_or_no(kept.astype(np.float64), asked.truth == 1)
    return {column.name: made[column.name] for column in COLUMNS[asked.question]}


def row_values(asked: Asked, kept: npt.NDArray[np.floating]) -> Doubles:
    """Primary measure of each row (B,): its mean over any rows is the measure of these rows."""
    if asked.question == NEXT_ITEM:
        return ranking.hits_at(kept.astype(np.float64), 10)
    if asked.question == NEXT_ACTION:
        return classes.row_log_loss(kept, asked.truth)
    return probabilities.row_log_loss(kept, asked.truth == 1)


def _of_ranks(rank: Doubles) -> dict[str, Measure]:
    return {
        "P@10": mean_of(ranking.hits_at(rank, 10)),
        "P@20": mean_of(ranking.hits_at(rank, 20)),
        "MRR@20": mean_of(ranking.reciprocal_at(rank, 20)),
        "NDCG@20": mean_of(ranking.discounted_at(rank, 20)),
    }


def _of_classes(p: Doubles, truth: Integers) -> dict[str, Measure]:
    count = len(EVENT_TYPES)
    called = p.argmax(axis=1)
    held = np.bincount(truth, minlength=count) > 0

    def counted(value: Callable[[Doubles], float]) -> Measure:
        return lambda weight: value(classes.confusion(truth, called, count, weight))

    return {
        "log-loss": mean_of(classes.row_log_loss(p, truth)),
        "ROC AUC": classes.weighted_macro(p, truth, probabilities.weighted_roc_auc),
        "PR AUC": classes.weighted_macro(p, truth, probabilities.weighted_pr_auc),
        "accuracy": counted(classes.accuracy),
        "precision": counted(lambda cells: float(classes.per_class(cells).precision[held].mean())),
        "recall": counted(lambda cells: float(classes.per_class(cells).recall[held].mean())),
        "F1": counted(lambda cells: float(classes.per_class(cells).f1[held].mean())),
        "Brier": mean_of(classes.row_brier(p, truth)),
        "ECE": probabilities.weighted_calibration_error(p.max(axis=1), called == truth),
    }


def _of_yes_or_no(p: Doubles, truth: npt.NDArray[np.bool_]) -> dict[str, Measure]:
    squared = mean_of(probabilities.row_brier(p, truth))
    return {
        "ROC AUC": probabilities.weighted_roc_auc(p, truth),
        "PR AUC": probabilities.weighted_pr_auc(p, truth),
        "log-loss": mean_of(probabilities.row_log_loss(p, truth)),
        "Brier": squared,
        "RMSE": lambda weight: float(np.sqrt(squared(weight))),
        "ECE": probabilities.weighted_calibration_error(p, truth),
    }


NAMES: Final = {
    NEXT_ITEM: "Next item",
    NEXT_ACTION: "Next action",
    PURCHASE: "Purchase intent",
    HAZARD: "Churn",
}
if set(NAMES) != set(QUESTIONS):
    raise RuntimeError("a question without a name")
