"""Models beside each other on one question: values, intervals, differences, who is chosen.

Rules of the room: chosen on validation, measured on test, so that the choice does not flatter the
number. Every interval is of the same draws of users; a difference is taken draw by draw.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from export.evaluation.intervals import DRAWS, Draws, draw_users, interval, replicas_of
from export.evaluation.questions import COLUMNS, PRIMARY, Asked, measures, row_values
from export.models.contract import NEXT_ACTION, PURCHASE

Doubles = npt.NDArray[np.float64]
Kept = dict[str, npt.NDArray[np.floating]]  # model -> its kept answers, see questions.answer

# Beside what a model is judged; elsewhere the baseline that is best on validation.
REFERENCES: Final = {NEXT_ACTION: "logistic", PURCHASE: "logistic"}
LENGTHS: Final = (1, 2, 5, 9, 17, 33, 65, 129)  # where bins of history length begin


class Cell(NamedTuple):
    """A value and its interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Row:
    """One model: measure -> value, and -> difference from the reference."""

    model: str
    values: dict[str, Cell]
    differences: dict[str, Cell]
    validation: float  # primary measure on validation: what the choice is made by
    from_chosen: Cell  # primary measure minus that of the chosen model


@dataclass(frozen=True, slots=True)
class Answered:
    """A question answered by all models that answer it, best on validation first."""

    question: str
    asked: Asked  # of the test split
    rows: list[Row]
    reference: str
    chosen: str

    def row(self, model: str) -> Row:
        """Give one model's row."""
        return next(row for row in self.rows if row.model == model)

    def alike(self) -> list[str]:
        """Models whose difference from the chosen one is within noise, on the primary measure."""
        return [
            row.model
            for row in self.rows
            if row.model != self.chosen and row.from_chosen.lower <= 0 <= row.from_chosen.upper
        ]


class Length(NamedTuple):
    """Rows whose user had so many steps."""

    first: int
    last: int  # 0: no end
    rows: int
    values: dict[str, float]  # model -> primary measure


def compare(
    asked: dict[str, Asked],
    kept: dict[str, Kept],
    baselines: frozenset[str],
    seed: int,
    draws: int = DRAWS,
) -> Answered:
    """Compare on `validation` and `test`, the keys of `asked` and `kept`.

    Raises ValueError where no model answers.
    """
    question = asked["test"].question
    if not kept["test"]:
        raise ValueError(f"no model answers {question}")
    primary = next(column for column in COLUMNS[question] if column.name == PRIMARY[question])
    held = {
        name: primary_value(asked["validation"], answers)
        for name, answers in kept["validation"].items()
    }
    ranked = sorted(held, key=lambda name: (-primary.better * held[name], name))
    chosen = ranked[0]
    reference = REFERENCES.get(question, "")
    if reference not in held:
        reference = next((name for name in ranked if name in baselines), ranked[-1])
    drawn = draw_users(asked["test"].user, seed, draws)
    values, made = {}, {}
    for name in ranked:
        values[name], made[name] = _drawn(asked["test"], kept["test"][name], drawn)
    rows = []
    for name in ranked:
        cells = {key: Cell(values[name][key], *interval(made[name][key])) for key in values[name]}
        apart = {key: _apart(key, name, reference, values, made) for key in values[name]}
        rows.append(
            Row(name, cells, apart, held[name], _apart(primary.name, name, chosen, values, made))
        )
    return Answered(question, asked["test"], rows, reference, chosen)


def by_length(asked: Asked, kept: Kept) -> list[Length]:
    """Primary measure of every model by the steps that its user had. Empty bins are left out."""
    rows = {name: row_values(asked, answers) for name, answers in kept.items()}
    place = np.searchsorted(LENGTHS, asked.steps, side="right") - 1
    out = []
    for index, first in enumerate(LENGTHS):
        found = np.flatnonzero(place == index)
        if len(found):
            last = LENGTHS[index + 1] - 1 if index + 1 < len(LENGTHS) else 0
            values = {name: float(value[found].mean()) for name, value in rows.items()}
            out.append(Length(first, last, len(found), values))
    return out


def primary_value(asked: Asked, answers: npt.NDArray[np.floating]) -> float:
    """Primary measure over all rows asked."""
    return measures(asked, answers)[PRIMARY[asked.question]](np.ones(len(asked.truth)))


def _drawn(
    asked: Asked, answers: npt.NDArray[np.floating], draws: Draws
) -> tuple[dict[str, float], dict[str, Doubles]]:
    made = measures(asked, answers)
    every = np.ones(len(asked.truth))
    return (
        {name: measure(every) for name, measure in made.items()},
        replicas_of(made, draws),
    )


def _apart(
    key: str,
    one: str,
    other: str,
    values: dict[str, dict[str, float]],
    made: dict[str, dict[str, Doubles]],
) -> Cell:
    difference = values[one][key] - values[other][key]
    return Cell(difference, *interval(made[one][key] - made[other][key]))
