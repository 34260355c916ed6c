"""Recorded rows as arrays for training: encoded steps, sequences in a table, labels as indices.

Rules of the room: numpy only; encoded by stream.model, so that serving and training cannot differ.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from export.bundles.weights import scaled_head
from export.dataset.labels import Labels
from export.dataset.record import Integers, Recorded
from stream.model.bundle import tables_of
from stream.model.contexts import context_ids
from stream.model.step_features import StepInputs, encode_steps
from stream.model.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """N steps, Q sequences of at most T steps, B rows."""

    inputs: StepInputs  # of all N steps
    table: Integers  # (Q, T) index of each step; -1: the sequence has ended
    lengths: Integers  # (Q,)
    sequence: Integers  # (B,) where the row is scored
    position: Integers  # (B,)
    head: npt.NDArray[np.float32]  # (B, 28) on the scale of `scaled_head`
    context: npt.NDArray[np.int32]  # (B, 3)
    item: Integers  # (B,) vocabulary index of the event's own item; 0: none, or unknown
    next_item: Integers  # (B,) 0: unknown
    labels: Labels
    user: Integers  # (B,)

    def rows_of(self, sequences: Integers) -> tuple[Integers, Integers]:
        """Rows scored along the given sequences, and the place of each one's sequence in them."""
        place = np.full(len(self.lengths), -1)
        place[sequences] = np.arange(len(sequences))
        rows = np.flatnonzero(place[self.sequence] >= 0)
        return rows, place[self.sequence[rows]]


def training_set(recorded: Recorded, labels: Labels, vocabulary: Vocabulary) -> TrainingSet:
    """Encode what was recorded."""
    count = len(recorded.steps)
    order = np.arange(count, dtype=np.int32)
    lengths = np.bincount(recorded.sequence)
    table = np.full((len(lengths), int(lengths.max())), -1)
    table[recorded.sequence, recorded.position] = order
    return TrainingSet(
        inputs=encode_steps(tables_of(vocabulary), recorded.steps, recorded.gap_ms, order),
        table=table,
        lengths=lengths,
        sequence=recorded.row_sequence,
        position=recorded.row_position,
        head=scaled_head(recorded.head).astype(np.float32),
        context=context_ids(vocabulary, recorded.context),
        item=item_indices(vocabulary, recorded.item),
        next_item=item_indices(vocabulary, labels.next_item),
        labels=labels,
        user=recorded.user,
    )


def item_indices(vocabulary: Vocabulary, items: npt.NDArray[np.uint64]) -> Integers:
    """Vocabulary indices of item hashes; 0: none, or unknown."""
    keys = vocabulary.item_map.keys
    held = keys > 0
    order = np.argsort(keys[held])
    known = keys[held][order]
    values = vocabulary.item_map.values[held][order]
    place = np.minimum(np.searchsorted(known, items), len(known) - 1)
    return np.where(known[place] == items, values[place], 0).astype(np.int64)
