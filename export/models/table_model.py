"""Any scikit-learn classifier as a model: window features in, calibrated probabilities out.

Rules of the room: one estimator a question, rows in order of time, one thread. Silence is asked as
a hazard per bin, learned from the rows at risk in it, so that horizons agree whatever the
classifier: by one estimator from person-periods (Singer and Willett, 1993), where the bin is some
of the columns, or `by_bin`, by one for each bin, for models that cannot join columns by themselves.
An estimator learns from at most `rows_max` rows, drawn with the seed; what is left out is said.
"""

import pickle
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from export.baselines.logistic import sigmoid
from export.dataset.record import Integers
from export.dataset.window_features import HEAD_COLUMNS, window_features
from export.models.contract import HAZARD, NEXT_ACTION, PURCHASE, Doubles, Part, Say, answers, known
from export.training.calibrate import platt
from stream.core.layout import EVENT_TYPES

Columns = npt.NDArray[np.float32]

_ANSWERS_MIN = 10  # of the second most frequent answer
_EDGE = 1e-6  # a tree may be certain; a logit may not


@dataclass
class TableModel(ABC):
    """A family of classifiers on window features. Options of all of them are its fields."""

    rows_max: int = 50_000
    head_only: bool = False  # counters, recency, session, clock alone
    by_bin: bool = False  # an estimator for each bin of silence
    questions: frozenset[str] = field(
        default=frozenset({NEXT_ACTION, PURCHASE, HAZARD}), init=False, repr=False
    )
    _answers: dict[str, list["_Fitted"]] = field(default_factory=dict, init=False, repr=False)

    @abstractmethod
    def estimator(self, seed: int) -> Any:
        """Make an unfitted classifier of scikit-learn, on one thread."""

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Learn every question, calibrate each on the validation rows."""
        for question in sorted(self.questions):
            later = known(question, validation)
            asked, truth = self._asked(question, later), answers(question, later)
            classes = len(EVENT_TYPES) if question == NEXT_ACTION else 2
            self._answers[question] = []
            for bin_, (columns, target) in enumerate(
                self._tables(question, known(question, train))
            ):
                drawn = np.arange(len(target))
                if len(target) > self.rows_max:
                    rng = np.random.default_rng(seed)
                    drawn = np.sort(rng.choice(len(target), self.rows_max, replace=False))
                say(f"{question}: {len(drawn)} of {len(target)} rows")
                made = _Fitted(self.estimator(seed), classes)
                made.learn(columns[drawn], target[drawn])
                made.calibrate(asked, truth[:, bin_] if self._apart(question) else truth)
                self._answers[question].append(made)

    def predict(self, question: str, part: Part) -> Doubles:
        """Answer for all rows of the part."""
        if question not in self._answers:
            raise ValueError(f"{question}: not answered, or not fitted")
        asked = self._asked(question, part)
        made = [one.probabilities(asked) for one in self._answers[question]]
        p = np.concatenate(made, axis=1)
        return p[:, 0] if question == PURCHASE else p

    def size_bytes(self) -> int:
        """Bytes of the pickled estimators."""
        return len(pickle.dumps([one.estimator for made in self._answers.values() for one in made]))

    def features(self, part: Part) -> Columns:
        """Columns of the rows: (B, F)."""
        columns = window_features(part.data, part.vocabulary, part.rows)
        return columns[:, :HEAD_COLUMNS] if self.head_only else columns

    def _apart(self, question: str) -> bool:
        return question == HAZARD and self.by_bin

    def _tables(self, question: str, part: Part) -> list[tuple[Columns, Integers]]:
        """Columns and answers to learn from in order of time, for each estimator."""
        part = part.at(part.rows[np.argsort(part.time_ms(), kind="stable")])
        columns, target = self.features(part), answers(question, part)
        if self._apart(question):
            at_risk = [np.flatnonzero(of_bin >= 0) for of_bin in target.T]
            return [(columns[rows], target[rows, bin_]) for bin_, rows in enumerate(at_risk)]
        if question == HAZARD:
            row, bins = np.nonzero(target >= 0)
            return [(_with_bin(columns[row], bins, target.shape[1]), target[row, bins])]
        return [(columns, target)]

    def _asked(self, question: str, part: Part) -> list[Columns]:
        """Tables to ask about the rows: one, or one for each bin of silence."""
        columns = self.features(part)
        if question != HAZARD or self.by_bin:
            return [columns]
        bins = len(part.edges_ms)
        return [_with_bin(columns, np.full(len(columns), bin_), bins) for bin_ in range(bins)]


def _with_bin(columns: Columns, bin_: Integers, bins: int) -> Columns:
    """Append the bin: its number, for trees, and a column of its own, for sums."""
    own = np.zeros((len(columns), bins), columns.dtype)
    own[np.arange(len(columns)), bin_] = 1
    return np.concatenate([columns, bin_[:, None].astype(columns.dtype), own], axis=1)


class _Fitted:
    """One question's estimator, with scale and shift of each logit that it gives.

    Two classes: a logit for each table that is asked. More: one for each class against the rest.
    """

    def __init__(self, estimator: Any, classes: int) -> None:
        self.estimator = estimator
        self.classes = classes
        self.scale: Doubles | float = 1.0
        self.shift: Doubles | float = 0.0
        self.constant: Doubles | None = None  # (C,) logits where there is nothing to tell apart

    def learn(self, columns: Columns, target: Integers) -> None:
        """Fit; where hardly any row has a second answer, keep the shares alone."""
        counts = np.bincount(target, minlength=self.classes)
        if np.sort(counts)[-2] < _ANSWERS_MIN:
            share = (counts + 0.5) / (len(target) + 0.5 * self.classes)
            self.constant = np.log(share) - np.log1p(-share)
        else:
            self.estimator.fit(columns, target)

    def calibrate(self, asked: list[Columns], target: Integers) -> None:
        """Fit Platt's two numbers per logit; of several classes each against the rest."""
        if len(target) == 0 or self.constant is not None:
            return
        logits = self._logits(asked)
        truth = target.reshape(len(target), -1)
        if self.classes > 2:
            truth = np.where(truth < 0, -1, truth == np.arange(self.classes))
        fitted = [platt(logits[:, at], truth[:, at]) for at in range(logits.shape[1])]
        self.scale, self.shift = np.array(fitted).T

    def probabilities(self, asked: list[Columns]) -> Doubles:
        """Give the answer, after calibration: a column for each table, or for each class."""
        p = sigmoid(self._logits(asked) * self.scale + self.shift)
        return p / p.sum(axis=1, keepdims=True) if self.classes > 2 else p

    def _logits(self, asked: list[Columns]) -> Doubles:
        if self.classes > 2:
            return self._of_classes(asked[0])
        return np.column_stack([self._of_classes(columns)[:, 1] for columns in asked])

    def _of_classes(self, columns: Columns) -> Doubles:
        """One logit per class against the rest: (B, C); classes never seen are at the edge."""
        if self.constant is not None:
            return np.tile(self.constant, (len(columns), 1))
        out = np.full((len(columns), self.classes), np.log(_EDGE))
        seen = self.estimator.classes_
        if hasattr(self.estimator, "predict_proba"):
            p = np.clip(self.estimator.predict_proba(columns), _EDGE, 1 - _EDGE)
            out[:, seen] = np.log(p) - np.log1p(-p)
        else:
            margin = self.estimator.decision_function(columns)
            out[:, seen] = np.stack([-margin, margin], 1) if margin.ndim == 1 else margin
        return out
