"""Who is asked about churn: everybody whose answer could have been either."""

import numpy as np
import pytest

from export.dataset.labels import UNKNOWN, Labels
from export.evaluation.silence import silent_rows


@pytest.mark.parametrize(
    ("gap_ms", "seen_ms", "asked"),
    [
        (UNKNOWN, 30, [True]),  # silent to the end of what was seen, the horizon is whole
        (UNKNOWN, 29, []),
        (25, 30, [False]),  # came back
        (25, 29, []),  # came back, but who did not could not have been seen
        (10, 30, [False]),
        (9, 30, []),  # was not silent for so long
        (30, 40, [True]),
    ],
)
def test_both_answers_need_the_whole_horizon(gap_ms, seen_ms, asked):
    none = np.full(1, UNKNOWN)
    labels = Labels(
        next_item=np.zeros(1, np.uint64),
        next_type=none,
        purchase=none,
        gap_ms=np.array([gap_ms]),
        seen_ms=np.array([seen_ms]),
        hazard=np.full((1, 8), UNKNOWN),
    )
    assert silent_rows(labels, 10, 20).stayed.tolist() == asked
