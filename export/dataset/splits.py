"""Train, validation and test as arrays: what the engine recorded, cut, labelled and encoded."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from export.dataset.labels import labels_of
from export.dataset.record import Recorded
from export.dataset.split import SPLITS, Cuts, part_of, rows_of_split
from export.dataset.training_set import TrainingSet, training_set
from stream.core.config import EngineConfig
from stream.model.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Split:
    """One split. Rows, sequences and steps are numbered within it; users across all."""

    name: str  # one of SPLITS
    recorded: Recorded  # what the engine asked, steps as they are
    data: TrainingSet  # the same rows, encoded for the vocabulary, with labels


@dataclass(frozen=True, slots=True)
class Splits:
    """All three, for one vocabulary and one L."""

    vocabulary: Vocabulary
    config: EngineConfig
    purchase_horizon_ms: int
    train: Split
    validation: Split
    test: Split

    def each(self) -> tuple[Split, Split, Split]:
        """Give them in the order of time."""
        return self.train, self.validation, self.test


def make_splits(
    recorded: Recorded,
    of_event: npt.NDArray[np.uint8],
    cuts: Cuts,
    vocabulary: Vocabulary,
    config: EngineConfig,
    purchase_horizon_ms: int,
) -> Splits:
    """Cut what was recorded. Labels see nothing past their split's end: there they are unknown.

    Raises ValueError where a split has no row.
    """
    made = []
    for name in SPLITS:
        since_ms, end_ms = cuts.span_ms(name)
        rows = rows_of_split(recorded, of_event, name, since_ms)
        if not len(rows):
            raise ValueError(f"{name} has no scored event: cut elsewhere")
        part = part_of(recorded, rows, since_ms)
        labels = labels_of(part, end_ms, purchase_horizon_ms, config.hazard_edges_ms)
        made.append(Split(name, part, training_set(part, labels, vocabulary)))
    return Splits(vocabulary, config, purchase_horizon_ms, made[0], made[1], made[2])
