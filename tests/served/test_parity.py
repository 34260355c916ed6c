"""Every prediction recomputed: equal as it was served, and each seeded fault found."""

import json

import pytest

from stream.served.parity import Parity, Recomputation
from stream.wire.decode import Decoder
from tests.served.conftest import Shipped
from tests.served.played import NAMES, PlayedLog


def compared(log: PlayedLog, shipped: Shipped, *, others: bool = True) -> Parity:
    again = Recomputation(
        log, NAMES, shipped.bundle, shipped.graphs, shipped.config, Decoder(1), 10, others=others
    )
    again.compare(0)
    return again.parity


def test_all_is_as_it_was_served(served_log, shipped) -> None:
    parity = compared(served_log, shipped)
    assert parity.problems.shown == []
    told = len(served_log.of(NAMES.predictions))
    assert parity.predictions == parity.digests_equal == parity.scores_equal == told > 500
    assert parity.late > 10
    assert parity.difference_max <= parity.tolerance + 5e-7
    assert parity.summary().endswith("other_models=0 begun_before=0 problems=0")


@pytest.mark.parametrize(
    ("field", "by"),
    [
        ("purchase_probability", 0.0002),
        ("churn_probability", 0.0002),
        ("user_seq", 1),
        ("user_epoch", 1),
        ("revision", 1),
        ("as_of", 1),
    ],
)
def test_one_changed_number_is_found(log, shipped, field, by) -> None:
    entry = next(
        x for x in log.of(NAMES.predictions)[200:] if json.loads(x.value)[field] is not None
    )
    note = json.loads(entry.value)
    entry.edit(**{field: note[field] + by})
    parity = compared(log, shipped)
    assert parity.problems.count == 1
    assert parity.problems.shown[0].startswith(f"{note['prediction_id']}: {field} ")


def test_a_changed_item_list_is_found(log, shipped) -> None:
    entry = log.of(NAMES.predictions)[200]
    items = json.loads(entry.value)["items"]
    items[0]["score"] += 0.0002
    entry.edit(items=items)
    parity = compared(log, shipped)
    assert parity.problems.count == 1
    assert f"score of item {items[0]['item_id']} differs by" in parity.problems.shown[0]


def test_a_changed_digest_is_found(log, shipped) -> None:
    entry = log.of(NAMES.predictions)[200]
    told = json.loads(entry.value)["input"]
    entry.edit(input={**told, "window_digest": "0" * 16})
    parity = compared(log, shipped)
    assert parity.problems.count == 1
    assert parity.digests_equal == parity.predictions - 1


def test_a_changed_event_is_found(log, shipped) -> None:
    """An item that was not the one applied: digests of all windows that held it differ."""
    entry = next(x for x in log.of("clicks")[100:] if b'"item_id":"' in x.value)
    entry.value = entry.value.replace(b'"item_id":"', b'"item_id":"other')
    parity = compared(log, shipped)
    assert parity.digests_equal < parity.predictions
    assert parity.problems.count > 0


def test_predictions_of_another_model_are_counted(log, shipped) -> None:
    for entry in log.of(NAMES.predictions)[:100]:
        entry.edit(model_version="another", purchase_probability=0.5)
    parity = compared(log, shipped)
    assert parity.problems.count == 0
    assert parity.other_models == {"another": 100}
    assert parity.scores == parity.predictions - 100
    own = compared(log, shipped, others=False)
    assert own.scores == own.predictions == own.digests_equal == parity.scores
    assert own.other_models == {}


@pytest.mark.parametrize("topic", ["clicks", "predictions", "receipts"])
def test_of_a_cut_log_new_users_are_compared(log, shipped, topic) -> None:
    log.starts[topic] = log.of(topic)[len(log.of(topic)) // 3].offset
    parity = compared(log, shipped)
    assert parity.problems.shown == []
    assert parity.begun_before > 50
    assert parity.scores > 50
    assert parity.digests_equal == parity.scores == parity.scores_equal
    assert parity.begun_before + parity.scores == parity.predictions
