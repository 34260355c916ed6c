"""Which window features say something about an answer: three views, and how few are enough.

Rules of the room: fitted on train, judged on validation, never on test. Correlation is linear and
looks at one column; information gain looks at one column whatever its shape; recursive elimination
(Guyon et al., 2002) looks at all together: fit, drop the columns of the smallest weights, again.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from export.baselines.logistic import fit_logistic
from export.dataset.record import Integers
from export.dataset.window_features import WINDOW_FEATURES, window_features
from export.evaluation.document import Block, Heading, Paragraph, Table
from export.evaluation.probabilities import row_log_loss
from export.models.contract import NEXT_ACTION, PURCHASE, Part, Say, answers, known
from stream.core.layout import EVENT_TYPES

BINS: Final = 16  # of a column, by quantiles, for the information gain
DROP_SHARE: Final = 0.15  # of the columns left, a round of elimination
ALIKE: Final = 0.95  # correlation of two columns from which they are named as doubles
SHOWN: Final = 25  # columns in the report's table
_PURCHASED: Final = EVENT_TYPES.index("purchase")

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Feature:
    """One column."""

    name: str
    correlation: float  # with the answer; 0 for a column that never changes
    information: float  # bits about the answer, bias removed; the answer itself has `entropy`
    place: int  # 1: left last by the elimination


@dataclass(frozen=True, slots=True)
class Round:
    """One round of elimination."""

    columns: int
    log_loss: float  # on validation
    error: float  # standard error of that mean, by user: rows of one user are no independent draws


@dataclass(frozen=True, slots=True)
class Selection:
    """The report on one question."""

    question: str
    rows: int  # learned from
    rows_all: int
    entropy: float  # bits
    features: tuple[Feature, ...]  # by place
    doubles: tuple[tuple[str, str, float], ...]
    rounds: tuple[Round, ...]  # most columns first
    enough: int  # fewest columns within one standard error of the best round


def select_features(
    train: Part, validation: Part, question: str, seed: int, say: Say, *, rows_max: int = 20_000
) -> Selection:
    """Look at all window features for purchase, or for whether the next action is one.

    Raises ValueError for another question, or where train or validation has one answer only.
    """
    rng = np.random.default_rng(seed)
    x, y, _ = _asked(train, question)
    drawn = np.sort(rng.choice(len(y), min(rows_max, len(y)), replace=False))
    later, truth, user = _asked(validation, question)
    if not 0 < y[drawn].sum() < len(drawn) or not 0 < truth.sum() < len(truth):
        raise ValueError(f"{question}: one answer only, there is nothing to tell apart")
    x, rows_all, y = x[drawn], len(y), y[drawn]
    say(f"{question}: {len(y)} of {rows_all} rows, {x.shape[1]} columns")
    deviation = x.std(axis=0)
    moving = np.flatnonzero(deviation > 1e-9)
    order, rounds = _eliminate(x, y, later, truth, user, moving, say)
    correlation = _correlations(x, y, deviation)
    place = {column: at + 1 for at, column in enumerate(order)}
    names = [name for name, _, _ in WINDOW_FEATURES]
    features = [
        Feature(
            name,
            float(correlation[at]),
            information(x[:, at], y) if at in place else 0.0,
            place.get(at, len(names)),
        )
        for at, name in enumerate(names)
    ]
    best = min(rounds, key=lambda one: one.log_loss)
    enough = min(one.columns for one in rounds if one.log_loss <= best.log_loss + best.error)
    return Selection(
        question,
        len(y),
        rows_all,
        _entropy(y),
        tuple(sorted(features, key=lambda one: one.place)),
        _doubles(x, moving, names),
        tuple(rounds),
        enough,
    )


def information(column: Doubles, answer: Integers) -> float:
    """Mutual information of a column, cut into bins, and an answer of 0 or 1, in bits.

    The bias of counting, (bins - 1) / (2 N ln 2), is taken off (Miller, 1955); never below 0.
    """
    edges = np.unique(np.quantile(column, np.linspace(0, 1, BINS + 1)[:-1]))
    bin_ = np.searchsorted(edges, column)  # the lowest value has a bin of its own
    table = np.bincount(2 * bin_ + answer, minlength=2 * (len(edges) + 1)).reshape(-1, 2)
    table = table[table.sum(axis=1) > 0]
    p = table / len(answer)
    expected = p.sum(axis=1, keepdims=True) * p.sum(axis=0)
    gain = np.where(p > 0, p * np.log2(np.where(p > 0, p, 1) / np.maximum(expected, 1e-300)), 0)
    bias = (len(table) - 1) / (2 * len(answer) * np.log(2))
    return max(0.0, float(gain.sum() - bias))


def selection_blocks(selection: Selection) -> list[Block]:
    """Lay the report on one question out."""
    best = min(selection.rounds, key=lambda one: one.log_loss)
    rows = [
        (
            f"{one.place}",
            f"`{one.name}`",
            f"{one.correlation:+.3f}",
            f"{1000 * one.information:.2f}",
        )
        for one in selection.features[:SHOWN]
    ]
    blocks: list[Block] = [
        Heading(f"Features for {selection.question}", 2),
        Paragraph(
            f"{selection.enough} of {len(selection.features)} window features are enough: with "
            f"them the log-loss on validation is within one standard error ({best.error:.4f}) of "
            f"the best, {best.log_loss:.4f} with {best.columns}.",
            lead=True,
        ),
        Paragraph(
            f"Learned from {selection.rows} of {selection.rows_all} rows. Place: 1 is the column "
            "that recursive elimination of a logistic regression leaves last. Correlation: of the "
            "column with the answer. Gain: thousandths of a bit that the column alone says about "
            f"the answer, which itself has {1000 * selection.entropy:.0f}."
        ),
        Table(("place", "feature", "correlation", "gain"), tuple(rows), frozenset({1})),
        Heading("How many are enough", 3),
        Table(
            ("columns", "log-loss on validation", "standard error"),
            tuple(
                (f"{one.columns}", f"{one.log_loss:.4f}", f"{one.error:.4f}")
                for one in selection.rounds
            ),
        ),
    ]
    if selection.doubles:
        blocks += [
            Heading("Columns that say the same", 3),
            Table(
                ("feature", "as", "correlation"),
                tuple((f"`{a}`", f"`{b}`", f"{r:+.3f}") for a, b, r in selection.doubles),
                frozenset({1}),
            ),
        ]
    return blocks


def _asked(part: Part, question: str) -> tuple[Doubles, Integers, Integers]:
    """Columns, answers of 0 or 1, users."""
    if question not in {PURCHASE, NEXT_ACTION}:
        raise ValueError(f"features are selected for {PURCHASE} and {NEXT_ACTION}, not {question}")
    held = known(question, part)
    target = answers(question, held)
    answer = target if question == PURCHASE else (target == _PURCHASED).astype(np.int64)
    columns = window_features(held.data, held.vocabulary, held.rows).astype(np.float64)
    return columns, answer, held.data.user[held.rows]


def _eliminate(
    x: Doubles,
    y: Integers,
    later: Doubles,
    truth: Integers,
    user: Integers,
    columns: Integers,
    say: Say,
) -> tuple[list[int], list[Round]]:
    """Drop columns round by round: their order, the last one left first, and the rounds."""
    left = columns.tolist()
    dropped: list[int] = []
    rounds = []
    while left:
        fitted = fit_logistic(x[:, left], y)
        loss = row_log_loss(fitted.predict(later[:, left]), truth == 1)
        rounds.append(Round(len(left), float(loss.mean()), _error(loss, user)))
        say(f"{len(left)} columns: log-loss {loss.mean():.4f}")
        weakest = np.argsort(np.abs(fitted.weights[:-1]), kind="stable")
        gone = weakest[: max(1, int(DROP_SHARE * len(left)))].tolist()
        dropped += [left[at] for at in gone]
        left = [column for at, column in enumerate(left) if at not in set(gone)]
    return dropped[::-1], rounds


def _error(loss: Doubles, user: Integers) -> float:
    """Give the standard error of the mean over rows that come in users."""
    _, owner = np.unique(user, return_inverse=True)
    total = np.bincount(owner.reshape(-1), loss - loss.mean())
    return float(np.sqrt((total**2).sum()) / len(loss))


def _correlations(x: Doubles, y: Integers, deviation: Doubles) -> Doubles:
    centred = y - y.mean()
    covariance = (x - x.mean(axis=0)).T @ centred / len(y)
    return np.asarray(
        np.where(deviation > 1e-9, covariance / np.maximum(deviation, 1e-9), 0) / y.std()
    )


def _doubles(x: Doubles, moving: Integers, names: list[str]) -> tuple[tuple[str, str, float], ...]:
    """Pairs of columns that are nearly the same, the closest first."""
    both = (
        np.triu(np.corrcoef(x[:, moving], rowvar=False), 1) if len(moving) > 1 else np.zeros((0, 0))
    )
    pairs = np.argwhere(np.abs(both) >= ALIKE)
    found = [
        (names[moving[one]], names[moving[other]], float(both[one, other])) for one, other in pairs
    ]
    return tuple(sorted(found, key=lambda pair: -abs(pair[2])))


def _entropy(answer: Integers) -> float:
    share = float(answer.mean())
    return -share * float(np.log2(share)) - (1 - share) * float(np.log2(1 - share))
