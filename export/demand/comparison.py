"""The whole way: series, training, bundle, forecasts of all methods, scores.

Rules of the room: what the report says of the LSTM was computed by the bundle as loaded from disk,
on ONNX Runtime. The scores of the test part decide nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from export.dataset.build import Origin
from export.demand.activity import Activity
from export.demand.forecaster import Forecast, Forecaster
from export.demand.scores import Score, mase_scale, scores, simple_paths
from export.demand.series import Doubles, SeriesSet, Split
from export.demand.training import Recipe, Trained, train
from export.demand.windows import horizon_sums, inputs_of
from export.demand.write_forecaster import check_parity, write_forecaster
from stream.model.manifest import Training

LSTM = "LSTM"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of it. `step` is of one period ahead, `sums` of the sum over the horizon."""

    series: SeriesSet
    split: Split
    recipe: Recipe
    trained: Trained
    forecaster: Forecaster
    parity: float  # largest difference of torch, ONNX and numpy on the test rows, in scales
    step: dict[str, Score]
    sums: dict[str, Score]
    ours: Forecast  # (S, N) one period ahead on the test part
    other: str  # the best of the simple methods, one period ahead
    other_expected: Doubles  # (S, N)
    covered_step: float  # share of the outcomes between lower and upper
    covered_sums: float
    train_seconds: float


def compare(
    activity: Activity,
    series: SeriesSet,
    split: Split,
    recipe: Recipe,
    folder: Path,
    origin: Origin,
    say: Callable[[str], None],
) -> Comparison:
    """Train, write the bundle to `folder`, forecast the test part with everything."""
    began = time.monotonic()
    trained = train(series, split, recipe, say)
    train_seconds = time.monotonic() - began
    training = Training(
        synthetic=origin.synthetic,
        data=described(origin.source),
        command=origin.command,
        seed=recipe.seed,
        users=activity.users,
        events=len(activity.item),
        rows=len(series.names) * (split.train - recipe.look_back),
    )
    forecaster = write_forecaster(folder, trained, series, split, recipe, training)
    index = series.season_index(recipe.season)
    tested = inputs_of(
        series.counts, trained.scale, index, recipe.look_back, split.train, split.total
    )
    parity = check_parity(trained, forecaster, tested)
    say(f"torch, ONNX and numpy agree within {parity:.1e} scales on {len(tested.scale)} windows")
    paths = {LSTM: forecaster.paths(series, split.train, split.total)}
    paths |= simple_paths(series, split, recipe.season, recipe.horizon)
    true = series.counts[:, split.train :]
    scale = mase_scale(series.counts, split.train)
    whole = true.shape[1] - recipe.horizon + 1
    one = {name: path[:, :, 0] for name, path in paths.items()}
    summed = {name: path[:, :whole].sum(axis=2) for name, path in paths.items()}
    true_sums = horizon_sums(true, recipe.horizon)
    step = scores(one, true, scale, recipe.season, recipe.seed)
    scale_of = trained.scale[:, None]
    ours = forecaster.interval(one[LSTM], scale_of, horizon=False)
    ours_sums = forecaster.interval(summed[LSTM], scale_of, horizon=True)
    other = min((name for name in step if name != LSTM), key=lambda name: step[name].rmse)
    return Comparison(
        series=series,
        split=split,
        recipe=recipe,
        trained=trained,
        forecaster=forecaster,
        parity=parity,
        step=step,
        sums=scores(summed, true_sums, scale, recipe.season, recipe.seed),
        ours=ours,
        other=other,
        other_expected=one[other],
        covered_step=_covered(ours, true),
        covered_sums=_covered(ours_sums, true_sums),
        train_seconds=train_seconds,
    )


def described(source: dict[str, Any]) -> str:
    """Say in a line where the data are from."""
    if "files" in source:
        files = (f"{file['name']} ({file['map']})" for file in source["files"])
        return f"{source['kind']}: {', '.join(files)}"
    rest = ", ".join(f"{name} {value}" for name, value in source.items() if name != "kind")
    return f"{source['kind']}: {rest}"


def next_forecasts(done: Comparison) -> bytes:
    """Forecasts of what comes after the data, as `demand-forecasts` records, a line each."""
    series, recipe = done.series, done.recipe
    total = done.split.total
    path = done.forecaster.paths(series, total, total + 1)[:, 0]  # (S, H)
    scale_of = done.trained.scale
    start_ms = series.calendar.start_ms(series.period_first + total)
    lines: list[dict[str, Any]] = []
    for periods, expected in ((1, path[:, 0]), (recipe.horizon, path.sum(axis=1))):
        made = done.forecaster.interval(expected, scale_of, horizon=periods > 1)
        lines += [
            {
                "item_id": name,
                "window_start": start_ms,
                "horizon": series.calendar.duration(periods),
                "expected_units": round(float(made.expected[row]), 4),
                "lower": round(float(made.lower[row]), 4),
                "upper": round(float(made.upper[row]), 4),
                "method": done.forecaster.manifest.model,
            }
            for row, name in enumerate(series.names)
        ]
    return msgspec.json.Encoder().encode_lines(lines)


def _covered(forecast: Forecast, true: Doubles) -> float:
    return float(np.mean((forecast.lower <= true) & (true <= forecast.upper)))
