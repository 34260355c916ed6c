"""A model whose scores are the same bits however rows are cut into batches.

A matrix product adds up in an order that depends on the number of rows. Here each column of each
matrix has one number that is not zero, a power of two: whatever the order, the sum is that product,
exactly. The rest of the model works on one number at a time. Good for nothing but comparing states.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from export.bundles.weights import Cell, Floats, Weights, random_weights
from export.bundles.write_bundle import About, write_bundle
from stream.core.config import DAY_MS, EngineConfig
from stream.model.bundle import table_rows
from stream.model.manifest import Training
from stream.model.vocabulary import Texts, read_vocabulary

ITEMS: Final = 200
HIDDEN: Final = 32  # whole vectors of any processor


def exact_bundle(folder: Path, seed: int = 5) -> None:
    """Write it."""
    texts = Texts(
        items=[f"p{index:05d}" for index in range(ITEMS)],
        categories=[f"category-{index}" for index in range(40)],
        channels=["web", "app"],
        devices=["mobile", "desktop"],
        regions=["DE", "FR"],
        popular=list(range(1, 101)),
        unknown_items=8,
        unknown_categories=8,
        token_buckets=1024,
    )
    rows = table_rows(read_vocabulary(msgspec.json.encode(texts)))
    drawn = random_weights(rows, ITEMS, seed, hidden=HIDDEN, item_width=HIDDEN, head_width=HIDDEN)
    about = About(
        name="exact",
        refresh_steps=16,
        hazard_edges_ms=EngineConfig().hazard_edges_ms,
        purchase_horizon_ms=7 * DAY_MS,
        churn_horizon_ms=7 * DAY_MS,
        calibration={},
        metrics={},
        training=Training(
            synthetic=True, data="none: drawn weights, for tests only", command="", seed=seed,
            users=0, events=0, rows=0,
        ),
    )  # fmt: skip
    write_bundle(folder, picked(drawn, np.random.default_rng(seed)), texts, about)


def picked(weights: Weights, rng: np.random.Generator) -> Weights:
    """Replace each matrix by one that picks one input for each output."""

    def pick(matrix: Floats, rows: int | None = None) -> Floats:
        inputs, outputs = matrix.shape
        chosen = np.zeros_like(matrix)
        signs = rng.choice([-2.0, -1.0, 1.0, 2.0], outputs)
        chosen[rng.integers(0, rows or inputs, outputs), np.arange(outputs)] = signs
        return chosen

    cells = [Cell(pick(cell.inputs), pick(cell.recurrent), cell.bias) for cell in weights.cells]
    return replace(
        weights,
        mix=pick(weights.mix),
        cells=cells,
        # Of the heads' inputs only h: logarithms of the others may differ by their place in a row.
        hidden=pick(weights.hidden, HIDDEN),
        out=pick(weights.out),
    )
