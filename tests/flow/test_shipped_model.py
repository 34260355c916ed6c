"""The same log at once and record by record, scored by the shipped bundle."""

import json

import numpy as np

from stream.model.bundle import load_bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer
from tests.flow.fakes import Rig
from tests.flow.logs import shop_log
from tests.flow.test_worker import play

SCORES_PER_ROW = 4  # three next events and the purchase


def scorer() -> OnnxScorer:
    bundle = load_bundle()
    return OnnxScorer(bundle, open_graphs(bundle, "cpu"), items_top=0)


def predictions(rig: Rig) -> tuple[list[object], np.ndarray]:
    """What is equal, and the scores, (n, 4), which may differ within the bundle's tolerance."""
    messages = [json.loads(value or b"") for value in rig.transaction.values("predictions")]
    named = [(m["prediction_id"], m["partition_seq"], m["user_seq"], m["input"]) for m in messages]
    scores = [[*m["next_event"].values(), m["purchase_probability"]] for m in messages]
    return named, np.array(scores, np.float64)


async def test_at_once_and_record_by_record_score_alike() -> None:
    log = shop_log(21, 500)
    whole, one = await play(log, 10_000, scorer()), await play(log, 1, scorer(), batch_events_max=1)
    ids, scores = predictions(whole)
    ids_of_one, scores_of_one = predictions(one)
    assert ids == ids_of_one
    assert scores.shape == (len(ids), SCORES_PER_ROW)
    assert len(ids) > 300
    tolerance = load_bundle().manifest.tolerance
    assert np.abs(scores - scores_of_one).max() <= tolerance + 1e-6  # six decimals are written
