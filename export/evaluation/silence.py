"""Churn as a question: whether a user who has been silent for so long will go on so.

Rules of the room: a row is asked once for each silence that it ends in; it counts only where the
answer was seen within the log.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from export.baselines.gaps import survival
from export.dataset.labels import Labels
from export.dataset.record import Integers

Doubles = npt.NDArray[np.float64]


class Silent(NamedTuple):
    """Rows after which the user was silent for the time asked, and whose answer was seen."""

    rows: Integers
    stayed: npt.NDArray[np.bool_]  # True: silent for the whole horizon more


def silent_rows(labels: Labels, silence_ms: int, horizon_ms: int) -> Silent:
    """Find rows with a silence of `silence_ms` whose next `horizon_ms` were seen to the end.

    Also where the user came back before: else, near the log's end, only those who did are asked.
    """
    gap = np.where(labels.gap_ms < 0, 2**62, labels.gap_ms)
    until = silence_ms + horizon_ms
    rows = np.flatnonzero((gap >= silence_ms) & (labels.seen_ms >= until))
    return Silent(rows, gap[rows] >= until)


def stays_silent(
    hazard: Doubles, edges_ms: tuple[int, ...], silence_ms: int, horizon_ms: int
) -> Doubles:
    """Probability of no activity for the horizon after the silence: S(s + H) / S(s). (B,)."""
    after = survival(hazard, edges_ms, silence_ms + horizon_ms)
    return np.asarray(after / survival(hazard, edges_ms, silence_ms))
