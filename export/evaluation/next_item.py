"""A next-item benchmark's figures: the bundle as served beside simple lists, at several L.

Rules of the room: no torch. P@20 and MRR@20 over all rows, an unknown target missed, nothing
beyond the 20th place. Figures in percent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from export.baselines.item_knn import item_knn
from export.baselines.items import markov, popularity
from export.dataset.record import Integers
from export.dataset.sessions import Prefixes, Sequences
from export.evaluation.served_lists import list_ranks, served_lists
from stream.model.bundle import Bundle
from stream.model.vocabulary import hash_64

TOP: Final = 20
OTHER_REFRESH_STEPS: Final = (4, 8, 16)  # L at which the same bundle is asked


@dataclass(frozen=True, slots=True)
class Figures:
    """Over some rows."""

    rows: int
    precision: float  # P@20, the same as recall with one target a row; %
    reciprocal: float  # MRR@20, %

    def described(self) -> dict[str, Any]:
        """Say it for a report."""
        return {
            "rows": self.rows,
            "p_at_20": round(self.precision, 2) if self.rows else None,
            "mrr_at_20": round(self.reciprocal, 2) if self.rows else None,
        }


def figures(rank: Integers) -> Figures:
    """Average over ranks from 1; 0 or beyond 20: missed. No rows: NaN."""
    hit = (rank >= 1) & (rank <= TOP)
    if len(rank) == 0:
        return Figures(0, np.nan, np.nan)
    reciprocal = np.where(hit, 1.0 / np.maximum(rank, 1), 0.0)
    return Figures(len(rank), 100 * float(hit.mean()), 100 * float(reciprocal.mean()))


@dataclass(frozen=True, slots=True)
class Served:
    """The bundle's figures at one L."""

    refresh_steps: int
    every: Figures
    longer: Figures  # prefixes of more than 2 L items: where the window is cut


def served_at(
    bundle: Bundle, prefixes: Prefixes, seed: int, tick: Callable[[int], None]
) -> list[Served]:
    """Serve all prefixes at the bundle's L; at other L those again that it cuts otherwise."""
    hashes = np.array([hash_64(item) for item in prefixes.item_ids], np.uint64)
    own = bundle.refresh_steps
    lengths = prefixes.sequences.lengths
    rank = list_ranks(
        served_lists(bundle, prefixes.sequences, hashes, own, TOP, seed, tick), prefixes.target
    )
    found = []
    for refresh_steps in sorted({*OTHER_REFRESH_STEPS, own}):
        ranks = rank.copy()
        cut = np.flatnonzero(lengths > 2 * min(refresh_steps, own))
        if refresh_steps != own and len(cut):
            part, at = prefixes.sequences.chosen(cut)
            lists = served_lists(bundle, part, hashes[at], refresh_steps, TOP, seed, tick)
            ranks[cut] = list_ranks(lists, prefixes.target[cut])
        longer = ranks[lengths > 2 * refresh_steps]
        found.append(Served(refresh_steps, figures(ranks), figures(longer)))
    return found


def events_at(bundle: Bundle, prefixes: Prefixes) -> int:
    """Events that `served_at` will serve, all L together."""
    lengths = prefixes.sequences.lengths
    own = bundle.refresh_steps
    others = [size for size in OTHER_REFRESH_STEPS if size != own]
    return int(lengths.sum() + sum(lengths[lengths > 2 * min(L, own)].sum() for L in others))


def baselines(sequences: Sequences, prefixes: Prefixes, items_count: int) -> dict[str, Figures]:
    """Ask the simple lists, fitted on the sessions, of the prefixes' last items."""
    rows = items_count + 1
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    items = sequences.items.astype(np.int64)
    followed = np.flatnonzero(owner[1:] == owner[:-1])
    last = prefixes.sequences.last
    popular = popularity(items, rows, min(TOP, items_count))
    lists: dict[str, npt.NDArray[np.integer]] = {
        "popularity": np.tile(popular, (len(last), 1)),
        "first-order Markov": markov(items[followed], items[followed + 1], rows, TOP)[last],
        "item-kNN": item_knn(owner, items, rows, TOP)[last],
    }
    return {name: figures(list_ranks(made, prefixes.target)) for name, made in lists.items()}
