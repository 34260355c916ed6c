"""The bundle that is shipped, as served, on a run of the shop that nobody has seen before."""

import secrets

import numpy as np
import pytest

from export.dataset.event_log import EventLog
from export.dataset.record import record
from export.evaluation.evaluate import beats, evaluate, render
from stream.core.config import EngineConfig
from stream.core.plan import Scores
from stream.model.bundle import SHIPPED, Bundle, load_bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer

BYTES_MAX = 3_000_000


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(None, EngineConfig().window_steps)


def test_it_is_small_and_says_that_it_is_synthetic(bundle: Bundle) -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < BYTES_MAX
    assert bundle.manifest.training.synthetic
    assert bundle.manifest.model == "lstm 2x50"
    assert bundle.manifest.training.command.startswith("python -m export demo-bundle")


def test_it_beats_the_baselines_on_a_fresh_seed(bundle: Bundle) -> None:
    seed = 10_000 + secrets.randbelow(1_000_000)
    result = evaluate(bundle, seed, 400, lambda _: None)
    text = render(result)
    tables = result["tables"]
    for question in ("next item, P@10", "next item new to the user, P@10"):
        others = ["first-order Markov", "popularity"]
        assert beats(tables[question], "p_at_10", others), text
    purchase = tables["purchase within P7D"]
    for measure in ("roc_auc", "log_loss", "brier"):
        assert beats(purchase, measure, ["logistic regression", "base rate"]), text
    for question in [name for name in tables if name.startswith("silent")]:
        for measure in ("roc_auc", "log_loss"):
            assert beats(tables[question], measure, ["personal-gap rule", "base rate"]), text


def test_its_own_seed_is_no_test(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="trained on"):
        evaluate(bundle, bundle.manifest.training.seed, 10)


def scores(bundle: Bundle, log: EventLog) -> Scores:
    """Run a log through an engine with the shipped bundle."""
    scorer = OnnxScorer(bundle, open_graphs(bundle, "cpu"))
    return record(log, EngineConfig(hidden_users_max=1000), scorer).scores


def shuffled(log: EventLog, seed: int) -> EventLog:
    """Let each user's events change places, their times staying where they are.

    Steps move with their events; counts per user and type, and all times, are the same.
    """
    rng = np.random.default_rng(seed)
    events, steps = log.events.copy(), log.steps.copy()
    for user in np.unique(events["user"][events["user"] >= 0]).tolist():
        mine = np.flatnonzero((events["user"] == user) & (events["reason"] == 0))
        clicks = mine[(events["event_type"][mine] == 0)]
        items = steps["item"][events["step_first"][clicks]].copy()
        steps["item"][events["step_first"][clicks]] = rng.permutation(items)
    return EventLog(events, steps, log.users, log.end_ms)


def test_shuffling_a_users_events_changes_the_scores(bundle: Bundle, log: EventLog) -> None:
    """Same clicks, same times, same counts, another order of items: what was said differs."""
    straight, mixed = scores(bundle, log), scores(bundle, shuffled(log, 1))
    changed = np.abs(straight.purchase - mixed.purchase) > 10 * bundle.manifest.tolerance
    assert changed.mean() > 0.5
    assert (straight.items[:, 0] != mixed.items[:, 0]).mean() > 0.5
    again = scores(bundle, log)
    assert np.array_equal(straight.purchase, again.purchase)
