"""The comparison for a reader: report.md, report.json, plots, forecasts.jsonl.

Rules of the room: no number that is not in report.json; the verdict is computed, not written.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from export.demand.activity import Activity
from export.demand.comparison import LSTM, Comparison, next_forecasts
from export.demand.plots import draw_curve, draw_errors, draw_forecasts
from export.demand.question import MEASURES
from export.demand.scores import SERIES_MIN, Score


def write_report(folder: Path, activity: Activity, done: Comparison) -> str:
    """Write all files beside the bundle; return the verdict."""
    draw_forecasts(
        folder / "forecasts.svg", done.series, done.split, done.ours, done.other_expected,
        done.other,
    )  # fmt: skip
    draw_errors(folder / "errors.svg", done.step, done.series.measure)
    draw_curve(folder / "curve.svg", done.trained.curve, done.trained.epochs)
    (folder / "forecasts.jsonl").write_bytes(next_forecasts(done))
    found = _facts(activity, done)
    text = msgspec.json.format(msgspec.json.encode(found), indent=2)
    (folder / "report.json").write_bytes(text + b"\n")
    (folder / "report.md").write_text(_markdown(found), encoding="utf-8")
    return str(found["verdict"])


def verdict(scored: dict[str, Score], unit: str) -> str:
    """Say whether the LSTM is worth it, by RMSE."""
    best = min((name for name in scored if name != LSTM), key=lambda name: scored[name].rmse)
    more, (low, high) = scored[best].more, scored[best].more_interval
    numbers = (
        f"RMSE {scored[LSTM].rmse:.4g} against {scored[best].rmse:.4g} of {best}, the best of the"
        f" simple methods; difference {-more:+.3g} {unit}, 95 % interval {-high:+.3g} to"
        f" {-low:+.3g}"
    )
    if low > 0:
        return f"the LSTM beats all simple methods: {numbers}."
    if high < 0:
        return f"the LSTM does not pay here: {numbers}. Use {best}."
    return f"the LSTM and {best} cannot be told apart: {numbers}. The simple method is enough."


def _facts(activity: Activity, done: Comparison) -> dict[str, Any]:
    series, split, recipe = done.series, done.split, done.recipe
    learned = series.counts[:, : split.train]
    training = done.forecaster.manifest.training
    return {
        "data": training.data,
        "synthetic": training.synthetic,
        "rows": len(activity.item),
        "left_out": activity.left_out,
        "series": len(series.names),
        "by": series.by,
        "measure": series.measure,
        "counts": MEASURES[series.measure],
        "period": series.calendar.name,
        "periods": split.total,
        "first": _day(done, 0),
        "validation_from": _day(done, split.fit),
        "test_from": _day(done, split.train),
        "end": _day(done, split.total),
        "mean": round(float(learned.mean()), 6),
        "mean_test": round(float(series.counts[:, split.train :].mean()), 6),
        "zero_share": round(float((learned == 0).mean()), 6),
        "points": len(series.names) * (split.total - split.train),
        "recipe": {name: getattr(recipe, name) for name in recipe.__slots__},
        "model": done.forecaster.manifest.model,
        "epochs": done.trained.epochs,
        "train_seconds": round(done.train_seconds, 1),
        "parity_scales": done.parity,
        "one_period": _rows(done.step),
        "horizon_sum": _rows(done.sums),
        "interval": done.forecaster.manifest.interval,
        "covered_one_period": round(done.covered_step, 4),
        "covered_horizon_sum": round(done.covered_sums, 4),
        "drawn": "series" if len(series.names) >= SERIES_MIN else "stretches of a season",
        "verdict": (
            f"One {series.calendar.name} ahead: {verdict(done.step, series.measure)}"
            f" Sum of the next {recipe.horizon}: {verdict(done.sums, series.measure)}"
        ),
        "command": training.command,
        "version": done.forecaster.manifest.file.sha256[:12],
    }


def _day(done: Comparison, period: int) -> str:
    start_ms = done.series.calendar.start_ms(done.series.period_first + period)
    return datetime.fromtimestamp(start_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _rows(scored: dict[str, Score]) -> dict[str, dict[str, Any]]:
    return {
        name: {field: getattr(score, field) for field in Score.__slots__}
        for name, score in scored.items()
    }


_TEMPLATE: Final = """# Demand: an LSTM beside simple methods

{label}{verdict}

## Data
{data}.
{rows:,} steps with an item; {left_out:,} events left out, which came again or from the future.
{series} series of {measure} by {by}, the largest of the train part; period: {period}; {periods}
whole periods (UTC) from {first} to {end}. In the train part {mean:.4g} {measure} a period and
series, {zeros:.1f} % of the periods without any; in the test part {mean_test:.4g}.

Cut by time: learned until {validation_from}, validation until {test_from}, test (20 %) after it:
{points:,} points, on which nothing was fitted, chosen or scaled.

## One {period} ahead
{one_period}

![RMSE by method](errors.svg)

## Sum of the next {horizon} periods
The LSTM forecasts period by period, each forecast taking the place of the value not known yet. Only
origins whose horizon ends within the data.

{horizon_sum}

## Predicted against true
The largest series; each point forecast one period ahead.

![predicted against true](forecasts.svg)

## Intervals
Nominal {interval:.0f} %; they held {covered_one_period:.1f} % of the test points one period ahead,
{covered_horizon_sum:.1f} % of the sums. Ends: quantiles of the errors on validation, in units of
the series' standard deviation, over all series.

## How
- One {model} for all series: look-back {look_back}, dropout {dropout}, one dense output, Adam at
  {rate}, squared error; {epochs} epochs, chosen on validation (the last fifth of train), then
  learned again from the same start on all of train. The window's mean is taken off and
  put back; the scale is each series' standard deviation in train. Beside the value: the place in a
  season of {season}. {train_seconds} s,
  seed {seed}.
- Simple methods: weights per series, by the squared error of one step within train; in the test
  part they go on with the true values, as the LSTM's window does.
- MASE: absolute error by the mean change from period to period in train, mean over series. In
  square brackets: 95 %, bootstrap over {drawn}; "against the LSTM" is drawn in pairs.
- Forecasts of the LSTM are of the written bundle `{version}` on ONNX Runtime; torch, ONNX and numpy
  agree within {parity_scales:.1e} scales on all test windows.

![learning curve](curve.svg)

Printed by `{command}`.
The same numbers are in `report.json`, forecasts of what comes after the data in `forecasts.jsonl`.
"""


def _markdown(found: dict[str, Any]) -> str:
    label = "**Synthetic data: says nothing about a real shop.** " if found["synthetic"] else ""
    shown = found["recipe"] | found
    shown |= {name: _table(found[name]) for name in ("one_period", "horizon_sum")}
    for share in ("interval", "covered_one_period", "covered_horizon_sum"):
        shown[share] = 100 * found[share]
    return _TEMPLATE.format_map(shown | {"label": label, "zeros": 100 * found["zero_share"]})


def _table(rows: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| method | MSE | RMSE | MASE | RMSE against the LSTM |",
        "|---|---|---|---|---|",
    ]
    for name, row in sorted(rows.items(), key=lambda pair: pair[1]["rmse"]):
        low, high = row["rmse_interval"]
        less, more = row["more_interval"]
        against = "" if name == LSTM else f"{row['more']:+.4g} [{less:+.3g}, {more:+.3g}]"
        shown = f"**{name}**" if name == LSTM else name
        lines.append(
            f"| {shown} | {row['mse']:.4g} | {row['rmse']:.4g} [{low:.4g}, {high:.4g}]"
            f" | {row['mase']:.3f} | {against} |"
        )
    return "\n".join(lines)
