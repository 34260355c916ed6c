"""The bundle that is shipped: a shop is simulated, a small LSTM trained, checked, and written.

Rules of the room: a function of the seed. Everything in it is invented, and the manifest says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from export.baselines.items import popularity
from export.bundles.trained_bundle import make_bundle
from export.bundles.write_bundle import About
from export.dataset.event_log import EventLog
from export.dataset.labels import labels_of
from export.dataset.record import record
from export.dataset.shop_log import shop_log
from export.dataset.training_set import item_indices, training_set
from export.evaluation.evaluate import evaluate
from export.models.contract import Part
from export.training.train import Recipe
from stream.core.config import DAY_MS, EngineConfig
from stream.local.shop import Shop
from stream.local.shop_people import CHANNELS, DEVICES, REGIONS
from stream.model.manifest import Training
from stream.model.vocabulary import Texts, Vocabulary, read_vocabulary

REFRESH_STEPS: Final = 16
PURCHASE_HORIZON_MS: Final = 7 * DAY_MS
CHURN_HORIZON_MS: Final = 7 * DAY_MS
POPULAR: Final = 100
# What the shipped bundle was trained by: `demo-bundle` gives its bytes again.
SHIPPED_RECIPE: Final = Recipe(head_dropout=0.0, weights=(1.0, 0.3, 1.0, 1.0))


@dataclass(frozen=True, slots=True)
class Demo:
    """What to make."""

    seed: int = 7
    users: int = 2000
    items: int = 2000
    test_seed: int = 1007
    test_users: int = 1000
    recipe: Recipe = SHIPPED_RECIPE


def demo_bundle(folder: Path, demo: Demo, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Simulate, train, calibrate, check, evaluate, write. Returns the evaluation."""
    say(f"simulating {demo.users} users, seed {demo.seed}")
    shop = Shop(demo.seed, demo.users, demo.items)
    log = shop_log(shop)
    config = EngineConfig(
        refresh_steps=REFRESH_STEPS, hidden_users_max=max(100_000, demo.users), bucket_ms=DAY_MS
    )
    recorded = record(log, config)
    vocabulary = _vocabulary(shop, log)
    labels = labels_of(recorded, log.end_ms, PURCHASE_HORIZON_MS, config.hazard_edges_ms)
    data = training_set(recorded, labels, vocabulary)
    say(f"training on {len(recorded.rows)} rows of {len(log.events)} events")
    about = About(
        name="demo",
        refresh_steps=REFRESH_STEPS,
        hazard_edges_ms=config.hazard_edges_ms,
        purchase_horizon_ms=PURCHASE_HORIZON_MS,
        churn_horizon_ms=CHURN_HORIZON_MS,
        calibration={},
        metrics={},
        training=Training(
            synthetic=True,
            data="events of the simulated shop (stream/local/shop.py); nothing in it is real",
            command=f"python -m export demo-bundle --seed {demo.seed} --users {demo.users}",
            seed=demo.seed,
            users=demo.users,
            events=len(log.events),
            rows=len(recorded.rows),
        ),
    )
    part = Part(data, vocabulary, np.arange(len(data.user)), config.hazard_edges_ms)
    made = make_bundle(folder, part, replace(demo.recipe, seed=demo.seed), about, say)
    result = evaluate(made.bundle, demo.test_seed, demo.test_users, say)
    made.measured(result)
    return result


def _vocabulary(shop: Shop, log: EventLog) -> Vocabulary:
    """Name the items and categories that were seen, and the most popular items."""
    catalogue = shop.catalogue
    texts = Texts(
        items=catalogue.item_ids,
        categories=catalogue.categories,
        channels=list(CHANNELS),
        devices=list(DEVICES),
        regions=list(REGIONS),
        popular=[],
        unknown_items=8,
        unknown_categories=8,
        token_buckets=1024,
    )
    every = read_vocabulary(msgspec.json.encode(texts))
    seen = item_indices(every, log.steps["item"])
    counted = popularity(seen, every.items_count + 1, min(POPULAR, every.items_count))
    popular = [int(index) for index in counted]
    named = msgspec.structs.replace(texts, popular=popular)
    return read_vocabulary(msgspec.json.encode(named))
