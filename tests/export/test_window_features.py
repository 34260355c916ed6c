"""The table of windows against the same told a row at a time with lists."""

import numpy as np
import pytest

from export.dataset.labels import labels_of
from export.dataset.record import Recorded
from export.dataset.shop_log import EventLog
from export.dataset.training_set import TrainingSet, training_set
from export.dataset.window_features import WINDOW_FEATURES, window_features, window_steps
from stream.core.config import DAY_MS, EngineConfig
from stream.core.layout import ACTIONS, SESSION_GAP_MS
from stream.model.vocabulary import Vocabulary, read_vocabulary
from tests.export.small import vocabulary_bytes

NAMES = [name for name, _, _ in WINDOW_FEATURES]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return read_vocabulary(vocabulary_bytes(200))


@pytest.fixture(scope="module")
def data(log: EventLog, recorded: Recorded, vocabulary: Vocabulary) -> TrainingSet:
    labels = labels_of(recorded, log.end_ms, 2 * DAY_MS, EngineConfig().hazard_edges_ms)
    return training_set(recorded, labels, vocabulary)


def told_plainly(recorded: Recorded, data: TrainingSet, row: int) -> dict[str, float]:
    """Columns of one row from the steps as they are, newest last."""
    sequence, position = recorded.row_sequence[row], recorded.row_position[row]
    mine = np.flatnonzero((recorded.sequence == sequence) & (recorded.position <= position))
    mine = mine[np.argsort(recorded.position[mine])]
    steps = [recorded.steps[at] for at in mine]
    gaps = [int(recorded.gap_ms[at]) for at in mine]
    newest = steps[-1]
    sessions = [gap < 0 or gap > SESSION_GAP_MS for gap in gaps]
    logs = [np.log1p(gap / 1000) / 8 if gap > 0 else 0.0 for gap in gaps]
    told: dict[str, float] = {
        "window_steps": len(steps),
        "window_items": len({data.inputs.item_id[at] for at in mine} - {0}),
        "window_categories": len({data.inputs.side_id[at, 0] for at in mine} - {0}),
        "window_sessions": sum(sessions),
        "window_item_same": sum(s["item"] == newest["item"] != 0 for s in steps),
        "window_category_same": sum(s["category"] == newest["category"] != 0 for s in steps),
        "window_gap_log": float(np.mean(logs)),
    }
    for code, name in enumerate(ACTIONS):
        told[f"window_{name}"] = sum(step["action"] == code for step in steps)
        for back in range(4):
            told[f"step_{back}_action_{name}"] = (
                back < len(steps) and steps[-1 - back]["action"] == code
            )
    for back in range(min(4, len(steps))):
        told[f"step_{back}_gap_log"] = logs[-1 - back]
        told[f"step_{back}_session_first"] = sessions[-1 - back]
        told[f"step_{back}_item_given"] = steps[-1 - back]["item"] != 0
        told[f"step_{back}_item_same"] = steps[-1 - back]["item"] == newest["item"] != 0
    return told


def test_every_column_says_what_its_definition_says(
    recorded: Recorded, data: TrainingSet, vocabulary: Vocabulary
) -> None:
    rows = np.arange(0, len(data.user), 37)
    table = window_features(data, vocabulary, rows)
    assert table.shape == (len(rows), len(NAMES))
    assert len(set(NAMES)) == len(NAMES)
    for place, row in enumerate(rows.tolist()):
        for name, value in told_plainly(recorded, data, row).items():
            assert table[place, NAMES.index(name)] == pytest.approx(float(value), abs=1e-5), name
    bands = table[:, NAMES.index("step_0_price_band")]
    assert bands.min() >= 0
    assert 3 < bands.max() < 16


def test_rows_come_out_one_by_one_as_together(data: TrainingSet, vocabulary: Vocabulary) -> None:
    rows = np.array([5, 400, 17])
    together = window_features(data, vocabulary, rows)
    alone = [window_features(data, vocabulary, rows[at : at + 1])[0] for at in range(3)]
    assert np.array_equal(together, np.stack(alone))
    assert window_features(data, vocabulary, rows[:0]).shape == (0, len(NAMES))


def test_no_step_after_the_row_counts(data: TrainingSet, vocabulary: Vocabulary) -> None:
    rows = np.flatnonzero(data.position == 1)[:50]
    before = window_features(data, vocabulary, rows)
    later = np.setdiff1d(np.arange(len(data.inputs.item_id)), window_steps(data, rows).ravel())
    assert len(later) > 1000
    kept = data.inputs.dense[later].copy()
    data.inputs.dense[later] = 7.0
    after = window_features(data, vocabulary, rows)
    data.inputs.dense[later] = kept
    assert np.array_equal(before, after)
