"""Next item without a network: popular items, the last item again, what follows the last item.

Rules of the room: the counts are those of export/baselines/items.py. What a count cannot tell apart
is ordered by popularity, so that every item has a place in the ranking.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import sparse

from export.baselines.item_knn import similarities
from export.baselines.items import transitions
from export.dataset.record import Integers
from export.dataset.window_features import window_steps
from export.models.contract import NEXT_ACTION, NEXT_ITEM, Doubles, Part, Say, answers, known
from stream.core.layout import EVENT_TYPES

_SMOOTH = 1.0  # added to each pair of types
_TIE = 1e-6  # popularity orders what similarity cannot


@dataclass
class Popularity:
    """An item's share of all next items."""

    questions: frozenset[str] = field(default=frozenset({NEXT_ITEM}), init=False, repr=False)
    share: Doubles = field(default_factory=lambda: np.zeros(0), init=False, repr=False)  # (V,)

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Count."""
        del validation, seed, say
        self.share = shares(train)

    def predict(self, question: str, part: Part) -> Doubles:
        """Give everyone the same."""
        _check(question, self.questions, self.share)
        return np.tile(self.share, (len(part.rows), 1))

    def size_bytes(self) -> int:
        """Bytes of the counts."""
        return self.share.nbytes


@dataclass
class LastItem:
    """The item seen last once more, then popular ones."""

    questions: frozenset[str] = field(default=frozenset({NEXT_ITEM}), init=False, repr=False)
    share: Doubles = field(default_factory=lambda: np.zeros(0), init=False, repr=False)  # (V,)

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Count."""
        del validation, seed, say
        self.share = shares(train)

    def predict(self, question: str, part: Part) -> Doubles:
        """Put the last item first."""
        _check(question, self.questions, self.share)
        scores = np.tile(self.share, (len(part.rows), 1))
        last = last_known(part)
        held = np.flatnonzero(last)
        scores[held, last[held] - 1] += 1.0
        return scores

    def size_bytes(self) -> int:
        """Bytes of the counts."""
        return self.share.nbytes


@dataclass
class Markov:
    """First-order chains: items that followed the last item, types that followed the last type."""

    questions: frozenset[str] = field(
        default=frozenset({NEXT_ITEM, NEXT_ACTION}), init=False, repr=False
    )
    share: Doubles = field(default_factory=lambda: np.zeros(0), init=False, repr=False)  # (V,)
    items: sparse.csr_array | None = field(default=None, init=False, repr=False)  # (V + 1, V + 1)
    types: Doubles = field(default_factory=lambda: np.zeros((0, 0)), init=False, repr=False)

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Count pairs."""
        del validation, seed, say
        self.share = shares(train)
        followed = answers(NEXT_ITEM, train)
        self.items = transitions(last_known(train), followed, len(self.share) + 1)
        self.types = np.full((len(EVENT_TYPES), len(EVENT_TYPES)), _SMOOTH)
        typed = known(NEXT_ACTION, train)
        np.add.at(self.types, (last_type(typed), answers(NEXT_ACTION, typed)), 1.0)
        self.types /= self.types.sum(axis=1, keepdims=True)

    def predict(self, question: str, part: Part) -> Doubles:
        """Look up what followed."""
        _check(question, self.questions, self.share)
        if question == NEXT_ACTION:
            return self.types[last_type(part)]
        if self.items is None:
            raise ValueError("not fitted")
        return np.asarray(self.share + self.items[last_known(part)].toarray()[:, 1:])

    def size_bytes(self) -> int:
        """Bytes of the counts."""
        return int(self.share.nbytes + self.types.nbytes + _bytes(self.items))


@dataclass
class ItemKnn:
    """Items of the same visits as the last item, by the cosine of the items' visits."""

    questions: frozenset[str] = field(default=frozenset({NEXT_ITEM}), init=False, repr=False)
    share: Doubles = field(default_factory=lambda: np.zeros(0), init=False, repr=False)  # (V,)
    near: sparse.csr_array | None = field(default=None, init=False, repr=False)  # (V + 1, V + 1)

    def fit(self, train: Part, validation: Part, seed: int, say: Say) -> None:
        """Find who was seen with whom."""
        del validation, seed, say
        self.share = shares(train)
        if train.past is None:
            raise ValueError("this part was made without the past of its users: no visits")
        visits = np.stack([train.data.user[train.rows], train.past.visits[train.rows]], axis=1)
        _, visit = np.unique(visits, axis=0, return_inverse=True)
        items = train.data.item[train.rows]
        self.near = similarities(visit.reshape(-1), items, len(self.share) + 1)[0]

    def predict(self, question: str, part: Part) -> Doubles:
        """Give the neighbours of the last item."""
        _check(question, self.questions, self.share)
        if self.near is None:
            raise ValueError("not fitted")
        near = self.near[last_known(part)].toarray()[:, 1:]
        return np.asarray(_TIE * self.share + near)

    def size_bytes(self) -> int:
        """Bytes of the similarities."""
        return int(self.share.nbytes + _bytes(self.near))


def shares(train: Part) -> Doubles:
    """Share of each known item among the next items: (V,), below one in sum."""
    target = answers(NEXT_ITEM, train)
    counts = np.bincount(target[target > 0], minlength=train.vocabulary.items_count + 1)[1:]
    return np.asarray(counts / (counts.sum() + 1.0))


def last_known(part: Part) -> Integers:
    """Newest item of each row's window that the vocabulary knows: (B,); 0: none."""
    at = window_steps(part.data, part.rows)
    item = part.data.inputs.item_id[np.maximum(at, 0)].astype(np.int64)
    held = (at >= 0) & (item > 0) & (item <= part.vocabulary.items_count)
    newest = held.argmax(axis=1)
    rows = np.arange(len(at))
    return np.where(held[rows, newest], item[rows, newest], 0)


def last_type(part: Part) -> npt.NDArray[np.intp]:
    """Event type of each row's newest step: (B,)."""
    newest = part.data.table[part.data.sequence[part.rows], part.data.position[part.rows]]
    return np.asarray(part.data.inputs.dense[newest, : len(EVENT_TYPES)].argmax(axis=1))


def _check(question: str, answered: frozenset[str], share: Doubles) -> None:
    if question not in answered or not len(share):
        raise ValueError(f"{question}: not answered, or not fitted")


def _bytes(pairs: sparse.csr_array | None) -> int:
    return 0 if pairs is None else pairs.data.nbytes + pairs.indices.nbytes + pairs.indptr.nbytes
