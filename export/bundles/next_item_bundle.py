"""A bundle of a network that has learned next items alone, from data without users, times or types.

Rules of the room: what the data says nothing of has no influence: side rows, dense columns and
contexts are zero, and the heads that have no labels give even chances; the manifest says so.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from export.baselines.items import popularity
from export.bundles.weights import OUTPUTS
from export.bundles.write_bundle import About, write_bundle
from export.dataset.sessions import Sessions
from export.models.network import Network, Sizes
from stream.core.config import DAY_MS, EngineConfig
from stream.model.bundle import table_rows
from stream.model.manifest import Training
from stream.model.vocabulary import Texts, read_vocabulary

POPULAR: Final = 100
NOT_TRAINED: Final = {
    "next_event": "not trained: the data holds one type of event; even chances",
    "purchase": "not trained: the data holds no purchases; 0.5",
    "hazard": "not trained: the data holds no times; 0.5",
}


def texts_of(sessions: Sessions) -> Texts:
    """Name the items, and the most popular ones."""
    count = len(sessions.item_ids)
    items = sessions.sequences.items.astype(np.int64)
    popular = popularity(items, count + 1, min(POPULAR, count))
    return Texts(
        items=sessions.item_ids,
        categories=[],
        channels=[],
        devices=[],
        regions=[],
        popular=[int(index) for index in popular],
        unknown_items=1,
        unknown_categories=1,
        token_buckets=1,
    )


def sizes_of(texts: Texts, width: int) -> Sizes:
    """Sizes of the tables; those that nothing enters by are as small as can be."""
    rows = table_rows(read_vocabulary(msgspec.json.encode(texts)))
    return Sizes(rows["items"], rows["side"], rows["contexts"], len(texts.items), width, 1, 1, 1)


def write_next_item_bundle(
    folder: Path,
    network: Network,
    texts: Texts,
    refresh_steps: int,
    training: Training,
    metrics: dict[str, Any],
) -> float:
    """Write the bundle, return the largest golden difference. Raises BundleError."""
    weights = network.weights(np.zeros(OUTPUTS), np.zeros(OUTPUTS))
    for array in (weights.side, weights.mix, weights.mix_bias, weights.context):
        array[:] = 0
    weights.item[1 + len(texts.items) :] = 0  # unknown items say nothing
    config = EngineConfig()
    about = About(
        name="next-item",
        refresh_steps=refresh_steps,
        hazard_edges_ms=config.hazard_edges_ms,
        purchase_horizon_ms=7 * DAY_MS,
        churn_horizon_ms=config.churn_horizon_ms,
        calibration=NOT_TRAINED,
        metrics=metrics,
        training=training,
    )
    return write_bundle(folder, weights, texts, about)
