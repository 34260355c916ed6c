"""A small shop as a dataset for comparisons and searches: 320 users, 14 days, cut at 6 and 10."""

from pathlib import Path

from export.dataset.build import Origin, Wishes, build_dataset
from export.dataset.folder import Dataset
from export.dataset.names import Names
from export.dataset.shop_log import shop_log
from stream.core.config import DAY_MS
from stream.local.shop import START_MS, Shop

ORIGIN = Origin({"kind": "simulated shop"}, "a test", synthetic=True, seed=5)


def small_dataset(folder: Path) -> Dataset:
    """Write it."""
    names = Names()
    log = shop_log(Shop(5, 320, items=100, days=14), names)
    wishes = Wishes(
        validation_ms=START_MS + 6 * DAY_MS,
        test_ms=START_MS + 10 * DAY_MS,
        purchase_horizon_ms=DAY_MS,
    )
    return build_dataset(folder, log, names, ORIGIN, wishes, lambda _: None)
