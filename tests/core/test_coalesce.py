"""Coalescing against a slow, obvious twin, on drawn rows."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.core.coalesce import coalesce
from stream.core.layout import Outcome
from stream.core.results import ROW, Applied

OUTCOMES = (Outcome.PREDICTED, Outcome.PREDICTED, Outcome.DUPLICATE, Outcome.CONTROL)
drawn_rows = st.lists(
    st.tuples(st.sampled_from(OUTCOMES), st.integers(0, 3), st.sampled_from([1, 7])), max_size=40
)


def applied_of(drawn: list[tuple[Outcome, int, int]]) -> Applied:
    rows = np.zeros(len(drawn), ROW)
    rows["outcome"], rows["scored"] = [row[0] for row in drawn], -1
    predicted = rows["outcome"] == Outcome.PREDICTED
    rows["user"], rows["user_epoch"] = [row[1] for row in drawn], [row[2] for row in drawn]
    rows["scored"][predicted] = np.arange(predicted.sum())
    plan: Any = type("Plan", (), {"listed": np.ones(int(predicted.sum()), bool)})
    nothing: Any = None
    return Applied(rows, len(rows), plan, nothing, nothing, [])


@given(drawn_rows)
def test_only_the_last_of_a_user_and_epoch_is_left(drawn):
    applied = applied_of(drawn)
    coalesce(applied)
    listed = []
    for at, (outcome, *whose) in enumerate(drawn):
        again = (Outcome.PREDICTED, *whose) in drawn[at + 1 :]
        wanted = Outcome.COALESCED if outcome == Outcome.PREDICTED and again else outcome
        assert applied.rows["outcome"][at] == wanted
        if outcome == Outcome.PREDICTED:
            listed.append(not again)
    assert applied.plan.listed.tolist() == listed
