"""A bundle of a dataset: trained on train, calibrated on validation, measured on test as served.

Rules of the room: test is looked at once, after everything is decided. The manifest names the data
by their digest and says until when they go.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.bundles.trained_bundle import Made, make_bundle
from export.bundles.write_bundle import About
from export.dataset.folder import LOG, Dataset
from export.dataset.splits import Split, Splits
from export.evaluation.on_dataset import evaluate_on
from export.models.contract import Part, Say
from export.training.train import Recipe, Tick
from stream.model.manifest import Training


@dataclass(frozen=True, slots=True)
class Order:
    """What to make of a dataset."""

    name: str = "shop"
    refresh_steps: int = 16  # L
    items_max: int | None = 20_000  # the most frequent of train; None: all
    items_min: int = 1  # steps that an item needs
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=12, patience=2))
    command: str = ""


def dataset_bundle(
    folder: Path, dataset: Dataset, order: Order, say: Say, tick: Tick | None = None
) -> tuple[Made, dict[str, Any]]:
    """Train and write a bundle; also gives what was measured on test. Raises ValueError.

    The checkpoint lies beside the folder until the bundle is written: the same call goes on.
    """
    vocabulary = dataset.vocabulary(order.items_max, order.items_min)
    splits = dataset.splits(order.refresh_steps, vocabulary=vocabulary)
    train, validation = (
        part_of_split(splits, splits.train),
        part_of_split(splits, splits.validation),
    )
    say(
        f"training on {len(train.rows)} rows, {vocabulary.items_count} items;"
        f" validation on {len(validation.rows)} rows"
    )
    checkpoint = folder.with_name(folder.name + ".training.pt")
    made = make_bundle(
        folder,
        train,
        order.recipe,
        about_of(dataset, splits, order),
        say,
        validation=validation,
        tick=tick,
        checkpoint=checkpoint,
    )
    checkpoint.unlink(missing_ok=True)
    result = evaluate_on(made.bundle, dataset, say)
    made.measured(result)
    return made, result


def part_of_split(splits: Splits, split: Split) -> Part:
    """Give all rows of a split."""
    rows = np.arange(len(split.data.user))
    return Part(split.data, splits.vocabulary, rows, splits.config.hazard_edges_ms)


def about_of(dataset: Dataset, splits: Splits, order: Order) -> About:
    """Say where a bundle is from."""
    manifest = dataset.manifest
    source = manifest.source["kind"]
    digest = hashlib.sha256("".join(sorted(manifest.files.values())).encode()).hexdigest()
    items = "" if manifest.items_from == "item" else f"; items are {manifest.items_from}"
    return About(
        name=order.name,
        refresh_steps=order.refresh_steps,
        hazard_edges_ms=splits.config.hazard_edges_ms,
        purchase_horizon_ms=splits.purchase_horizon_ms,
        churn_horizon_ms=splits.config.churn_horizon_ms,
        calibration={},
        metrics={},
        training=Training(
            synthetic=manifest.synthetic,
            data=f"{source}, dataset {digest[:12]} ({LOG} {manifest.files[LOG][:12]}){items}",
            command=order.command,
            seed=order.recipe.seed,
            users=len(np.unique(splits.train.data.user)),
            events=int(manifest.counts["events"]),
            rows=len(splits.train.data.user),
            until_ms=dataset.cuts.end_ms,
        ),
    )
