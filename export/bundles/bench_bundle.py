"""A bundle of random weights in a given size: for benches and tests, good for nothing else."""

from pathlib import Path

import msgspec

from export.bundles.weights import random_weights
from export.bundles.write_bundle import About, write_bundle
from stream.core.config import DAY_MS, EngineConfig
from stream.model.bundle import table_rows
from stream.model.manifest import Training
from stream.model.vocabulary import Texts, read_vocabulary


def bench_bundle(
    folder: Path,
    items: int,
    *,
    seed: int = 1,
    kind: str = "lstm",
    hidden: int = 50,
    layers: int = 2,
    refresh_steps: int = 16,
    categories: int = 40,
) -> None:
    """Write a bundle with `items` items p00000, p00001, ... as the simulated shop names them."""
    texts = Texts(
        items=[f"p{index:05d}" for index in range(items)],
        categories=[f"category-{index}" for index in range(categories)],
        channels=["web", "app"],
        devices=["mobile", "desktop"],
        regions=["DE", "FR"],
        popular=list(range(1, min(items, 100) + 1)),
        unknown_items=8,
        unknown_categories=8,
        token_buckets=1024,
    )
    rows = table_rows(read_vocabulary(msgspec.json.encode(texts)))
    weights = random_weights(rows, items, seed, kind=kind, hidden=hidden, layers=layers)
    about = About(
        name=f"bench-{items}",
        refresh_steps=refresh_steps,
        hazard_edges_ms=EngineConfig().hazard_edges_ms,
        purchase_horizon_ms=7 * DAY_MS,
        churn_horizon_ms=7 * DAY_MS,
        calibration={},
        metrics={},
        training=Training(
            synthetic=True,
            data="none: random weights, for benches only",
            command=f"python -m export bench-bundle --items {items}",
            seed=seed,
            users=0,
            events=0,
            rows=0,
        ),
    )
    write_bundle(folder, weights, texts, about)
