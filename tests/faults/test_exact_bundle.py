"""The model that states are compared by: the same bits, however rows are cut into batches."""

from pathlib import Path

import numpy as np
import pytest

from stream.core.plan import Scores
from stream.model.bundle import load_bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer
from tests.model.plans import Segment, history, plan_of

USERS = 97
STEPS = 20


def scores(folder: Path, group: int, cut: int) -> list[Scores]:
    """Score users of 20 steps in groups, their steps cut in two at `cut` (0: in one go)."""
    bundle = load_bundle(folder, 32)
    scorer = OnnxScorer(bundle, open_graphs(bundle, "cpu"), 10)
    scorer.open(0, USERS)
    found = []
    for first in range(0, USERS, group):
        users = range(first, min(USERS, first + group))
        drawn = [history(bundle, STEPS, user) for user in users]
        if cut:
            before = [
                Segment(steps[:cut], gap_ms[:cut], -1, user)
                for user, (steps, gap_ms) in zip(users, drawn, strict=True)
            ]
            scorer.score(0, plan_of(before))
        after = [
            Segment(steps[cut:], gap_ms[cut:], user if cut else -1, user)
            for user, (steps, gap_ms) in zip(users, drawn, strict=True)
        ]
        found.append(scorer.score(0, plan_of(after)))
    return found


@pytest.mark.long  # beside the tests that need it
@pytest.mark.parametrize(("group", "cut"), [(1, 0), (7, 3), (97, 19), (33, 1)])
def test_scores_are_the_same_bits(exact: Path, group: int, cut: int) -> None:
    whole, parts = scores(exact, USERS, 0), scores(exact, group, cut)
    for name in ("next_event", "purchase", "hazard"):
        told = [np.concatenate([getattr(s, name) for s in made]) for made in (whole, parts)]
        assert told[0].tobytes() == told[1].tobytes(), name
    assert len(np.unique(told[0])) > 100  # and they tell users apart
