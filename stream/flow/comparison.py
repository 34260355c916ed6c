"""How far two models agree on the same rows: item lists by item, probabilities by value.

Rules of the room: pure; item indices are a bundle's own, so they are told apart by the item's id.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.plan import Scores

Numbers = npt.NDArray[np.float64]
PROBABILITY_MIN: Final = 1e-9  # below it a logarithm says nothing


class Comparison(NamedTuple):
    """One number a row, (B,) each."""

    agreement: Numbers  # agreement@k: share of the first one's items in the other's list; NaN: none
    purchase: Numbers  # absolute difference of the purchase probability
    next_event: Numbers  # Kullback-Leibler divergence of the next event, in nats, from the first


def item_map(of: Sequence[bytes], to: Sequence[bytes]) -> npt.NDArray[np.int32]:
    """Map a bundle's item indices to another's, by id; 0, no item, where the other has it not."""
    index = {text: number for number, text in enumerate(to)}
    return np.array([0, *(index.get(text, 0) for text in of[1:])], np.int32)


def compare(first: Scores, second: Scores, items_of_second: npt.NDArray[np.int32]) -> Comparison:
    """Compare row by row; `items_of_second` maps the second's item indices to the first's."""
    mine = first.items  # (B, K)
    theirs = items_of_second[second.items]  # (B, K')
    found = ((mine[:, :, None] == theirs[:, None, :]) & (mine[:, :, None] > 0)).any(axis=2)
    listed = (mine > 0).sum(axis=1)
    agreement = np.full(len(mine), np.nan)
    np.divide(found.sum(axis=1), listed, out=agreement, where=listed > 0)
    p = np.maximum(first.next_event.astype(np.float64), PROBABILITY_MIN)
    q = np.maximum(second.next_event.astype(np.float64), PROBABILITY_MIN)
    return Comparison(
        agreement=agreement,
        purchase=np.abs(first.purchase.astype(np.float64) - second.purchase),
        next_event=np.maximum(0.0, (p * np.log(p / q)).sum(axis=1)),
    )
