"""A trained network to a forecaster folder that has passed its own checks; parity of the three.

Rules of the room: the same weights give the same bytes; golden outputs are the reference's, in
double precision, so that loading compares ONNX Runtime with it.
"""

import hashlib
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from export.demand.forecaster import (
    FORMAT,
    GRAPH,
    Forecaster,
    ForecasterManifest,
    Golden,
    load_forecaster,
)
from export.demand.series import Doubles, SeriesSet, Split
from export.demand.training import Recipe, Trained, torch_step
from export.demand.weights import DemandWeights, reference, to_onnx
from export.demand.windows import Inputs, inputs_of
from stream.model.manifest import MANIFEST, BundleError, File, Training

GOLDEN_ROWS: Final = 8
TOLERANCE: Final = 1e-4  # in units of a series' scale
INTERVAL: Final = 0.8  # share of outcomes that lower and upper should hold between them


def write_forecaster(
    folder: Path,
    trained: Trained,
    series: SeriesSet,
    split: Split,
    recipe: Recipe,
    training: Training,
) -> Forecaster:
    """Write the bundle and load it again, which checks it. Raises BundleError."""
    weights = trained.network.weights()
    graph = to_onnx(weights, recipe.look_back)
    tail = (1 - INTERVAL) / 2
    golden = _golden(series, split.train, trained, recipe, weights)
    manifest = ForecasterManifest(
        format=FORMAT,
        model=weights.name,
        by=series.by,
        measure=series.measure,
        period_ms=series.calendar.period_ms,
        period_offset_ms=series.calendar.offset_ms,
        season=recipe.season,
        look_back=recipe.look_back,
        horizon=recipe.horizon,
        interval=INTERVAL,
        error_step=_ends(trained.errors, tail),
        error_horizon=_ends(trained.sums, tail),
        scale=dict(zip(series.names, trained.scale.tolist(), strict=True)),
        tolerance=TOLERANCE,
        file=File(hashlib.sha256(graph).hexdigest(), len(graph)),
        golden=golden,
        training=training,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / GRAPH).write_bytes(graph)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")
    return load_forecaster(folder)


def check_parity(trained: Trained, forecaster: Forecaster, inputs: Inputs) -> float:
    """Compare torch, ONNX and numpy on some rows; return the largest difference, in scales.

    Raises BundleError above the tolerance.
    """
    exact = reference(trained.network.weights(), inputs)
    made = (torch_step(trained.network)(inputs), forecaster.step(inputs))
    largest = max(float((np.abs(one - exact) / inputs.scale).max()) for one in made)
    if not largest <= forecaster.manifest.tolerance:
        raise BundleError(
            f"torch, ONNX and numpy differ by {largest:.2g} scales,"
            f" tolerance {forecaster.manifest.tolerance:.2g}"
        )
    return largest


def _golden(
    series: SeriesSet, train: int, trained: Trained, recipe: Recipe, weights: DemandWeights
) -> Golden:
    """Take windows of the train part at even distances, and the reference's answers."""
    inputs = inputs_of(
        series.counts[:, :train],
        trained.scale,
        series.season_index(recipe.season),
        recipe.look_back,
        recipe.look_back,
        train,
    )
    rows = inputs.rows(np.linspace(0, len(inputs.scale) - 1, GOLDEN_ROWS).astype(np.int64))
    return Golden(
        counts=rows.counts.tolist(),
        scale=rows.scale.tolist(),
        season_index=rows.season_index.tolist(),
        expected=reference(weights, rows).tolist(),
    )


def _ends(errors: Doubles, tail: float) -> tuple[float, float]:
    low, high = np.quantile(errors, [tail, 1 - tail])
    return float(low), float(high)
