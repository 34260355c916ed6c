"""The feature report finds what was put in, and says nothing about noise."""

import numpy as np
import pytest

from export.dataset.event_log import EventLog
from export.dataset.labels import labels_of
from export.dataset.record import Recorded
from export.dataset.training_set import training_set
from export.dataset.window_features import WINDOW_FEATURES
from export.evaluation.document import Heading, Table
from export.evaluation.feature_selection import information, select_features, selection_blocks
from export.models.contract import HAZARD, NEXT_ACTION, PURCHASE, Part
from stream.core.config import DAY_MS, EngineConfig
from stream.model.vocabulary import read_vocabulary
from tests.export.small import vocabulary_bytes


@pytest.fixture(scope="module")
def parts(log: EventLog, recorded: Recorded) -> tuple[Part, Part]:
    """Users of even and of odd numbers."""
    edges = EngineConfig().hazard_edges_ms
    vocabulary = read_vocabulary(vocabulary_bytes(200))
    data = training_set(recorded, labels_of(recorded, log.end_ms, 2 * DAY_MS, edges), vocabulary)
    first, second = (
        Part(data, vocabulary, np.flatnonzero(data.user % 2 == rest), edges) for rest in (0, 1)
    )
    return first, second


def test_information_of_a_copy_is_the_entropy_and_of_noise_nothing() -> None:
    rng = np.random.default_rng(1)
    answer = (rng.random(20_000) < 0.25).astype(np.int64)
    entropy = -0.25 * np.log2(0.25) - 0.75 * np.log2(0.75)
    assert information(answer.astype(float), answer) == pytest.approx(entropy, abs=0.01)
    assert information(rng.random(20_000), answer) < 1e-3
    u_shaped = np.where(answer == 1, rng.choice([-3.0, 3.0], 20_000), rng.normal(0, 0.5, 20_000))
    assert information(u_shaped, answer) > 0.6, "a shape that correlation does not see"
    assert abs(np.corrcoef(u_shaped, answer)[0, 1]) < 0.03


def test_the_column_that_decides_is_left_last(parts: tuple[Part, Part]) -> None:
    train, validation = parts
    data = train.data
    kept = data.labels.purchase.copy()
    data.labels.purchase[:] = data.inputs.dense[data.table[data.sequence, data.position], 5]
    made = select_features(train, validation, PURCHASE, 1, lambda _: None)
    data.labels.purchase[:] = kept
    names = [name for name, _, _ in WINDOW_FEATURES]
    assert len(made.features) == len(names)
    assert made.features[0].name == "step_0_action_cart"
    assert made.features[0].correlation == pytest.approx(1, abs=1e-3)
    assert made.features[0].information == pytest.approx(made.entropy, abs=0.01)
    assert made.rounds[0].columns > made.rounds[-1].columns == 1


def test_the_report_has_a_lead_and_tables(parts: tuple[Part, Part]) -> None:
    made = select_features(*parts, NEXT_ACTION, 1, lambda _: None, rows_max=500)
    blocks = selection_blocks(made)
    assert isinstance(blocks[0], Heading)
    assert sum(isinstance(block, Table) for block in blocks) >= 2
    assert made.rows == 500
    assert ("step_0_item_given", "step_0_item_same") in [pair[:2] for pair in made.doubles]
    with pytest.raises(ValueError, match="not hazard"):
        select_features(*parts, HAZARD, 1, lambda _: None)
