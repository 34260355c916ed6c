"""What every model is: one protocol, so that all are trained on the same rows and asked alike.

Rules of the room: numpy only. A model is made by its name (`registry.make`), fitted once, then
asked. It sees rows of a data set and what is known when they are scored: the steps of their
sequence up to their own, head features, context. `answers` is for fitting and for measuring.

Letters: B rows, V known items, C event types, K bins of silence.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from export.dataset.past import Past
from export.dataset.record import Integers
from export.dataset.training_set import TrainingSet
from stream.model.vocabulary import Vocabulary

Doubles = npt.NDArray[np.float64]
Say = Callable[[str], None]

NEXT_ITEM: Final = "next_item"
NEXT_ACTION: Final = "next_action"
PURCHASE: Final = "purchase"
HAZARD: Final = "hazard"

# What a model may be asked, and what `predict` gives.
QUESTIONS: Final = {
    NEXT_ITEM: "(B, V) a score per known item, higher is likelier; column j is item j + 1",
    NEXT_ACTION: "(B, C) probability of the type of the next event; rows sum to 1",
    PURCHASE: "(B,) probability of a purchase within the horizon after the newest event",
    HAZARD: "(B, K) probability of activity in a bin of silence, given silence until it",
}
BLOCK_ROWS: Final = 512  # next item is asked in blocks: (512, 40,000) doubles are 164 MB


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a data set: to fit on, to calibrate on, or to be asked about.

    Parts of one split may share the data; `rows` says what belongs to which. No row knows anything
    of the steps after its own, so sharing gives nothing away.
    """

    data: TrainingSet
    vocabulary: Vocabulary
    rows: Integers  # (B,) indices into the data's rows
    edges_ms: tuple[int, ...]  # (K,) where the bins of silence end
    past: Past | None = None  # of the data's rows; rules of rhythm need it, see split_pasts

    def at(self, rows: Integers) -> "Part":
        """Give other rows of the same data."""
        return replace(self, rows=rows)

    def blocks(self, rows_max: int = BLOCK_ROWS) -> Iterator[tuple[Integers, "Part"]]:
        """Cut into blocks: places in `rows`, and the part. Rows of a sequence stay together."""
        order = np.argsort(self.data.sequence[self.rows], kind="stable")
        for first in range(0, len(order), rows_max):
            places = order[first : first + rows_max]
            yield places, self.at(self.rows[places])

    def time_ms(self) -> Integers:
        """Time of each row, counted back from the end of the log: never positive. (B,)."""
        return np.asarray(-self.data.labels.seen_ms[self.rows])


class Model(Protocol):
    """A model of any family. Made by name, fitted once, then asked.

    Raises ValueError when asked what it does not answer, or before it is fitted.
    """

    questions: frozenset[str]

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Learn from `train`; `validation` (later rows) is for calibration and early stopping."""

    def predict(self, question: str, part: Part) -> Doubles:
        """Answer for all rows of the part: see QUESTIONS for shapes."""

    def size_bytes(self) -> int:
        """Bytes of what was learned, as arrays or as pickled by scikit-learn."""


def answers(question: str, part: Part) -> Integers:
    """Tell what happened. Unknown: 0 for the next item (B,), -1 elsewhere; hazard is (B, K)."""
    data, rows = part.data, part.rows
    match question:
        case "next_item":
            return data.next_item[rows]
        case "next_action":
            return data.labels.next_type[rows]
        case "purchase":
            return data.labels.purchase[rows]
        case "hazard":
            return data.labels.hazard[rows]
    raise ValueError(f"no such question: {question}; there are {', '.join(QUESTIONS)}")


def known(question: str, part: Part) -> Part:
    """Keep the rows whose answer is known (for the hazard: in one bin at least)."""
    found = answers(question, part)
    if question == NEXT_ITEM:
        return part.at(part.rows[found > 0])
    held = found >= 0
    return part.at(part.rows[held.any(axis=1) if question == HAZARD else held])
