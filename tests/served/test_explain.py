"""A prediction explained: found, rebuilt, refused where it should be, and the effects meant."""

import json

import numpy as np
import pytest

from stream.core.engine import Engine
from stream.core.results import Batch
from stream.model.scorer import OnnxScorer
from stream.served import find
from stream.served.find import find_latest, find_prediction, past_of
from stream.served.leave_out import leave_one_out
from stream.served.log import ServedError
from stream.served.window import Window, last_plan, rebuild
from stream.served.words import step_words
from stream.wire.decode import Decoder
from tests.served.conftest import Shipped
from tests.served.played import NAMES, PlayedLog

HORIZON_MS = 7 * 86_400_000


def notes(log: PlayedLog):
    return [json.loads(entry.value) for entry in log.of(NAMES.predictions)]


def window_of(log: PlayedLog, prediction_id: str, shipped: Shipped) -> Window:
    past = past_of(log, NAMES, find_prediction(log, NAMES, prediction_id))
    return rebuild(log, NAMES, past, shipped.config, Decoder(1))


def effects_of(window: Window, shipped: Shipped, steps_max: int = 32):
    return leave_one_out(window, shipped.bundle, shipped.graphs, steps_max, HORIZON_MS)


def test_predictions_are_rebuilt_to_what_was_told(served_log, shipped, monkeypatch) -> None:
    """Every late one and a sample of the others; leave_one_out refuses other scores."""
    monkeypatch.setattr(find, "BLOCK_RECORDS", 100)
    told = notes(served_log)
    asked = [note for number, note in enumerate(told) if note["late"] or number % 20 == 0]
    for note in asked:
        window = window_of(served_log, note["prediction_id"], shipped)
        effects = effects_of(window, shipped, 2)
        assert len(effects.purchase) == 1 + len(effects.position)
        assert np.isnan(effects.churn[0]) == (note["churn_probability"] is None)
    assert sum(note["late"] for note in asked) > 5
    assert max(note["input"]["window_length"] for note in asked) == 32
    assert max(note["user_epoch"] for note in asked) > 500  # of users that came again


def single_events(log: PlayedLog, shipped: Shipped, count: int, steps_min: int = 6):
    """Windows in which the model runs over every event of the user."""
    found = []
    for note in reversed(notes(log)):
        if steps_min <= note["user_seq"] <= 25 and note["input"]["window_length"] <= 30:
            window = window_of(log, note["prediction_id"], shipped)
            if len(window.plan.steps) == len(window.batch.steps):
                found.append(window)
        if len(found) == count:
            return found
    raise AssertionError(f"{len(found)} windows")


def scored(events, window: Window, shipped: Shipped) -> float:
    """Purchase probability of a user's events, served one after the other."""
    scorer = OnnxScorer(shipped.bundle, shipped.graphs, items_top=0)
    engine = Engine(window.config, 0)
    scorer.open(0, 1)
    parts = engine.run(
        Batch(events, window.batch.steps, window.batch.users), lambda plan: scorer.score(0, plan)
    )
    return float(parts[-1].scores.purchase[-1])


def test_left_out_is_as_if_it_had_not_happened(served_log, shipped) -> None:
    tolerance = shipped.bundle.manifest.tolerance
    for window in single_events(served_log, shipped, 5):
        effects = effects_of(window, shipped)
        assert abs(scored(window.batch.events, window, shipped) - effects.purchase[0]) <= tolerance
        for row, position in enumerate(effects.position.tolist()):
            source = window.plan.steps["source"][position]
            events = window.batch.events
            one = events["offset"] * 4 + events["topic"] == source
            if events["steps_count"][one][0] == 1:
                without = scored(events[~one], window, shipped)
                assert abs(without - effects.purchase[1 + row]) <= tolerance


def test_the_named_event_matters(served_log, shipped) -> None:
    """Deleted from the log, the strongest event changes the score more than one drawn by lot."""
    lot = np.random.default_rng(5)
    changes = []
    for window in single_events(served_log, shipped, 30, steps_min=8):
        effects = effects_of(window, shipped)
        events = window.batch.events
        sources = (events["offset"] * 4 + events["topic"]).tolist()
        strongest = effects.position[np.abs(effects.of(effects.purchase)).argmax()]
        named = sources.index(window.plan.steps["source"][strongest])
        whole = scored(events, window, shipped)
        changes.append([
            abs(scored(np.delete(events, at), window, shipped) - whole)
            for at in (named, int(lot.integers(len(events))))
        ])  # fmt: skip
    named, drawn = np.array(changes).T
    assert named.mean() > 3 * drawn.mean()
    assert (named >= drawn).mean() > 0.9


def test_the_only_step_cannot_be_left_out(served_log, shipped) -> None:
    first = next(n for n in notes(served_log) if n["input"]["window_length"] == 1)
    effects = effects_of(window_of(served_log, first["prediction_id"], shipped), shipped)
    assert len(effects.position) == 0
    assert abs(effects.purchase[0] - first["purchase_probability"]) < 1e-3


def test_steps_have_the_words_of_their_events(served_log, shipped) -> None:
    seen = set()
    for note in notes(served_log):
        if note["input"]["topic"] == "clicks" or note["input"]["window_length"] < 5:
            continue
        window = window_of(served_log, note["prediction_id"], shipped)
        words = step_words(window, len(window.plan.steps) - 1)
        assert (words.topic, words.offset) == (note["input"]["topic"], note["input"]["offset"])
        event = json.loads(window.values[int(window.plan.steps["source"][-1])])
        if words.topic == "searches":
            assert words.query == event["query"]
        else:
            line = event["items"][-1]
            assert words.item_id == line.get("item_id", line.get("product_id"))
        seen.add(words.topic)
    assert seen == {"searches", "purchases"}


def test_the_newest_prediction_of_a_user(served_log) -> None:
    told = notes(served_log)
    user = told[100]["user_id"]
    newest = [note["prediction_id"] for note in told if note["user_id"] == user][-1]
    found = find_latest(served_log, NAMES, 0, user.encode())
    assert found.note.prediction_id == newest
    with pytest.raises(ServedError, match="no prediction of user 'nobody'"):
        find_latest(served_log, NAMES, 0, b"nobody")


def long_one(log: PlayedLog):
    """A late prediction of a user with a long past."""
    return max(notes(log), key=lambda note: note["user_seq"] * (note["user_epoch"] > 30))


def test_another_window_is_refused(log, shipped) -> None:
    note = next(n for n in reversed(notes(log)) if n["input"]["topic"] == "clicks")
    log.of("clicks")[note["input"]["offset"]].edit(item_id="another", product_id="another")
    told = f"window_digest {note['input']['window_digest']} was told"
    with pytest.raises(ServedError, match=told):
        window_of(log, note["prediction_id"], shipped)


def test_other_scores_are_refused(log, shipped) -> None:
    entry = log.of(NAMES.predictions)[50]
    note = json.loads(entry.value)
    entry.edit(purchase_probability=note["purchase_probability"] + 0.001)
    window = window_of(log, note["prediction_id"], shipped)
    with pytest.raises(ServedError, match=r"purchase_probability .* was told"):
        effects_of(window, shipped)


@pytest.mark.parametrize("topic", ["clicks", "predictions"])
def test_retention_is_named(log, shipped, topic) -> None:
    note = long_one(log)
    told = find_prediction(log, NAMES, note["prediction_id"])
    first = past_of(log, NAMES, told).before[0]
    log.starts[topic] = 1 + (first.note.input.offset if topic == "clicks" else first.offset)
    why = "retention has cut"
    with pytest.raises(ServedError, match=why):
        window_of(log, note["prediction_id"], shipped)


def test_an_event_that_retention_has_taken(log) -> None:
    log.starts["clicks"] = 30
    with pytest.raises(ServedError, match=r"clicks-0-7 is gone: retention .* offset 30"):
        find_prediction(log, NAMES, "clicks-0-7")


def test_what_was_not_predicted_is_said(log) -> None:
    told = {}
    for entry in log.of(NAMES.receipts):
        receipt = json.loads(entry.value)
        for offset, outcome, *_ in receipt["exceptions"]:
            told.setdefault(outcome, f"{receipt['topic']}-0-{offset}")
    assert len(told) >= 3
    for outcome, prediction_id in told.items():
        why = f"not predicted: the event is {outcome.replace('_', '-')}"
        with pytest.raises(ServedError, match=why):
            find_prediction(log, NAMES, prediction_id)


@pytest.mark.parametrize(
    ("prediction_id", "why"),
    [
        ("nonsense", "is no prediction id: TOPIC-PARTITION-OFFSET"),
        ("clicks-0-x", "is no prediction id"),
        ("clicks-0--1", "is no prediction id"),
        ("other-0-1", "'other' is none of the inputs clicks, searches, purchases"),
        ("clicks-7-1", "clicks has no partition 7"),
        ("clicks-0-99999999", "the log ends at offset"),
    ],
)
def test_wrong_ids_are_one_line(served_log, prediction_id, why) -> None:
    with pytest.raises(ServedError, match=why) as caught:
        find_prediction(served_log, NAMES, prediction_id)
    assert "\n" not in str(caught.value)


def test_a_repeated_prediction_is_the_last(log) -> None:
    """at_least_once: a try that was not committed told something else."""
    entry = log.of(NAMES.predictions)[30]
    stray = type(entry)(entry.topic, entry.offset, entry.key, entry.value)
    stray.edit(partition_seq=1)
    for other in log.entries:
        if other.topic == NAMES.predictions and other.offset >= entry.offset:
            other.offset += 1
    log.entries.append(stray)
    log.entries.sort(key=lambda x: x.offset)
    prediction_id = json.loads(entry.value)["prediction_id"]
    assert find_prediction(log, NAMES, prediction_id, repeats=True).offset == entry.offset
    assert find_prediction(log, NAMES, prediction_id).note.partition_seq == 1


def test_a_plan_of_all_steps_from_zero(served_log, shipped) -> None:
    window = single_events(served_log, shipped, 1)[0]
    plan, row = last_plan(window.batch, window.config)
    assert row is not None
    assert (plan.pool_in == -1).all()
    assert len(plan.steps) == len(window.batch.steps)
