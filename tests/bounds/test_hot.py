"""A crowded user and a crowded partition cost about what users of their own cost."""

import pytest

from tests.bounds.hot import BATCH_EVENTS, KINDS, measure
from tests.oracle.int_scorer import IntScorer

RATIO_MAX = 4.0  # generous: other work runs on the machine; a quadratic cost would be hundreds


@pytest.mark.parametrize("kind", KINDS[1:])
def test_one_user_is_about_as_dear_as_many(kind: str) -> None:
    events = 4 * BATCH_EVENTS
    uniform = measure("uniform", events, IntScorer())
    crowded = measure(kind, events, IntScorer())
    assert crowded.us_per_event < RATIO_MAX * uniform.us_per_event, (crowded, uniform)
