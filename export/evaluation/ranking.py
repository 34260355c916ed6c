"""Measures of a ranking: where the item that came stands among all items.

Rules of the room: one target a row, ranked against every item that a model knows, nothing sampled
(sampled ranking misleads: Krichene and Rendle, 2020). Ties share their middle rank, so that a model
which gives all items one score gains nothing. A target outside the list counts as missed.
"""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def hit_rate(lists: npt.NDArray[np.integer], target: npt.NDArray[np.integer]) -> float:
    """Share of rows whose list holds the target: P@K as in data sets of one target a row."""
    return float((lists == target[:, None]).any(axis=1).mean())


def target_ranks(scores: npt.NDArray[np.floating], target: npt.NDArray[np.integer]) -> Doubles:
    """Rank of column `target` in each row of scores (B, V), from 1: (B,).

    Ties get the middle of the ranks that they share. A negative target has rank infinity.
    """
    held = target >= 0
    own = scores[np.arange(len(target)), np.where(held, target, 0)][:, None]
    above = (scores > own).sum(axis=1)
    equal = (scores == own).sum(axis=1)
    return np.where(held, above + (equal + 1) / 2.0, np.inf)


def hits_at(rank: Doubles, top: int) -> Doubles:
    """Per row 1 where the target is among the first `top`: its mean is P@top and recall@top.

    With one target a row the two are one number, called P@K in the literature of session data.
    """
    return (rank <= top).astype(np.float64)


def reciprocal_at(rank: Doubles, top: int) -> Doubles:
    """Per row 1 / rank, 0 beyond `top`: its mean is MRR@top."""
    return np.where(rank <= top, 1.0 / rank, 0.0)


def discounted_at(rank: Doubles, top: int) -> Doubles:
    """Per row 1 / log2(1 + rank), 0 beyond `top`: its mean is NDCG@top (Jarvelin, Kekalainen 2002).

    The best list of one target has a gain of 1, so nothing is left to divide by.
    """
    return np.where(rank <= top, 1.0 / np.log2(1.0 + rank), 0.0)
