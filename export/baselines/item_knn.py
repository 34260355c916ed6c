"""Item-kNN: what is seen in the same sessions as the last item (cosine of the items' sessions).

Rules of the room: sparse throughout: the cost grows with the pairs of items of a session, not with
the square of the items. As in the session literature, an item is no neighbour of itself.
"""

import numpy as np
from scipy import sparse

from export.baselines.items import Doubles, strongest
from export.dataset.record import Integers


def item_knn(session: Integers, items: Integers, rows: int, top: int) -> Integers:
    """Return each item's nearest ones, filled up with popular ones: (rows, top)."""
    both, sessions = similarities(session, items, rows)
    return strongest(both, sessions, top)


def similarities(session: Integers, items: Integers, rows: int) -> tuple[sparse.csr_array, Doubles]:
    """Similarity of each two items, an item to itself 0: (rows, rows); sessions of each: (rows,).

    `session` numbers the session of each of N items, from 0; item 0 is unknown. Similarity: the
    sessions that hold both, by the root of the product of those that hold each.
    """
    known = items > 0
    pairs = (session[known], items[known])
    held = sparse.csr_array((np.ones(int(known.sum())), pairs), shape=(session.max() + 1, rows))
    held.sum_duplicates()
    held.data[:] = 1.0
    both = sparse.csr_array(held.T @ held)
    both.setdiag(0)
    both.eliminate_zeros()
    sessions = np.asarray(held.sum(axis=0))
    share = 1 / np.sqrt(np.maximum(sessions, 1.0))
    both.data *= np.repeat(share, np.diff(both.indptr)) * share[both.indices]
    return both, sessions
