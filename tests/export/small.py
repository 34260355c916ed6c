"""What a small bundle says of itself, and the names that a small shop gives its items."""

import msgspec

from export.bundles.write_bundle import About
from stream.core.config import DAY_MS, EngineConfig
from stream.local.shop_catalogue import make_catalogue
from stream.model.manifest import Training
from stream.model.vocabulary import Texts

ABOUT = About(
    name="small",
    refresh_steps=4,
    hazard_edges_ms=EngineConfig().hazard_edges_ms,
    purchase_horizon_ms=2 * DAY_MS,
    churn_horizon_ms=7 * DAY_MS,
    calibration={},
    metrics={},
    training=Training(synthetic=True, data="a test", command="", seed=0, users=0, events=0, rows=0),
)


def vocabulary_bytes(items: int) -> bytes:
    """A vocabulary file of the simulated shop's names."""
    catalogue = make_catalogue(items)
    return msgspec.json.encode(
        Texts(
            items=catalogue.item_ids,
            categories=catalogue.categories,
            channels=["web", "app"],
            devices=["mobile"],
            regions=["DE"],
            popular=[1, 2, 3],
            unknown_items=4,
            unknown_categories=2,
            token_buckets=64,
        )
    )
