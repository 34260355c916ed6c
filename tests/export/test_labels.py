"""Labels: what came next, horizons and bins at their boundaries, what was not seen."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from export.dataset.labels import hazard_labels, labels_of
from stream.core.results import ROW

DAY = 86_400_000
EDGES = (10, 20, 40)
START = 1_700_000_000_000


class Rows(NamedTuple):
    """The part of Recorded that labels are made of."""

    rows: np.ndarray
    user: np.ndarray
    event_type: np.ndarray
    item: np.ndarray


def rows(*events: tuple[int, int, int, int]) -> Any:
    """(user, time, type, item) in the order of scoring; as_of is the user's highest time."""
    made = np.zeros(len(events), ROW)
    newest: dict[int, int] = {}
    for row, (user, time, _, _) in zip(made, events, strict=True):
        newest[user] = max(newest.get(user, 0), time)
        row["event_time_ms"], row["as_of_ms"] = START + time, START + newest[user]
    users, _, types, items = (np.array(column) for column in zip(*events, strict=True))
    return Rows(made, users, types, items.astype(np.uint64))


def test_what_comes_next_is_of_the_same_user_and_later() -> None:
    recorded = rows((1, 0, 0, 11), (2, 5, 0, 99), (1, 10, 1, 0), (1, 30, 0, 12), (2, 31, 2, 98))
    labels = labels_of(recorded, START + 100, 50, EDGES)
    assert labels.next_item.tolist() == [12, 98, 12, 0, 0]
    assert labels.next_type.tolist() == [1, 2, 0, -1, -1]
    assert labels.gap_ms.tolist() == [10, 26, 20, -1, -1]
    assert labels.seen_ms.tolist() == [100, 95, 90, 70, 69]


def test_a_late_event_is_not_what_comes_next() -> None:
    recorded = rows((1, 20, 0, 11), (1, 5, 0, 12), (1, 40, 0, 13))
    labels = labels_of(recorded, START + 100, 50, EDGES)
    assert labels.next_item.tolist() == [13, 13, 0]
    assert labels.gap_ms.tolist() == [20, 20, -1]


@pytest.mark.parametrize(("bought", "answer"), [(49, 1), (50, 1), (51, 0)])
def test_purchase_within_the_horizon(bought: int, answer: int) -> None:
    recorded = rows((1, 0, 0, 11), (1, 3, 1, 0), (1, bought, 2, 11))
    assert labels_of(recorded, START + 200, 50, EDGES).purchase[0] == answer


@pytest.mark.parametrize(("seen", "answer"), [(49, -1), (50, 0), (51, 0)])
def test_an_unseen_horizon_is_no_answer(seen: int, answer: int) -> None:
    assert labels_of(rows((1, 0, 0, 11)), START + seen, 50, EDGES).purchase[0] == answer


@pytest.mark.parametrize(
    ("gap", "seen", "expected"),
    [
        (0, 100, [1, -1, -1]),
        (9, 100, [1, -1, -1]),
        (10, 100, [0, 1, -1]),
        (11, 100, [0, 1, -1]),
        (39, 100, [0, 0, 1]),
        (40, 100, [0, 0, 0]),
        (-1, 100, [0, 0, 0]),
        (5, 9, [-1, -1, -1]),
        (5, 10, [1, -1, -1]),
        (15, 19, [0, -1, -1]),
        (15, 20, [0, 1, -1]),
        (-1, 9, [-1, -1, -1]),
        (-1, 10, [0, -1, -1]),
        (-1, 39, [0, 0, -1]),
        (-1, 40, [0, 0, 0]),
    ],
)
def test_hazard_bins(gap: int, seen: int, expected: list[int]) -> None:
    made = hazard_labels(np.array([gap]), np.array([seen]), EDGES)
    assert made.tolist() == [expected]
