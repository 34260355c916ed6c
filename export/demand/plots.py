"""Pictures of a comparison, as SVG: predicted against true, errors by method, the learning curve.

Rules of the room: the same numbers give the same bytes (no date, fixed ids). Nothing is computed
here.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from export.demand.forecaster import Forecast
from export.demand.scores import Score
from export.demand.series import Doubles, SeriesSet, Split

SERIES_DRAWN: Final = 6
TRUE, OURS, OTHER = "#222222", "#c0392b", "#2d7dd2"


def draw_forecasts(
    path: Path, series: SeriesSet, split: Split, ours: Forecast, other: Doubles, other_name: str
) -> None:
    """Draw the test part of the largest series: true, LSTM with its interval, one other method."""
    drawn = min(SERIES_DRAWN, len(series.names))
    figure = Figure(figsize=(9, 2.4 * drawn))
    axes = figure.subplots(drawn, 1, squeeze=False, sharex=True)
    starts = [series.calendar.start_ms(series.period_first + t) for t in range(split.total)]
    at: Any = [datetime.fromtimestamp(start / 1000, UTC) for start in starts[split.train :]]
    for row in range(drawn):
        axis = axes[row][0]
        axis.fill_between(at, ours.lower[row], ours.upper[row], color=OURS, alpha=0.15, lw=0)
        axis.plot(at, series.counts[row, split.train :], color=TRUE, lw=1.2, label="true")
        axis.plot(at, other[row], color=OTHER, lw=1, ls="--", label=other_name)
        axis.plot(at, ours.expected[row], color=OURS, lw=1.2, label="LSTM, with its interval")
        axis.set_title(f"{series.by} {series.names[row]}", loc="left", fontsize=9)
        axis.set_ylabel(f"{series.measure} a {series.calendar.name}", fontsize=8)
        axis.set_ylim(bottom=0)
    axes[0][0].legend(fontsize=8, ncols=3, loc="upper right")
    figure.autofmt_xdate()
    _save(figure, path)


def draw_errors(path: Path, scored: dict[str, Score], measure: str) -> None:
    """Draw the RMSE of each method with its interval."""
    names = sorted(scored, key=lambda name: -scored[name].rmse)
    figure = Figure(figsize=(7, 0.45 * len(names) + 1))
    axis = figure.subplots()
    for place, name in enumerate(names):
        score = scored[name]
        axis.barh(place, score.rmse, color=OURS if name == next(iter(scored)) else OTHER, alpha=0.8)
        axis.plot(score.rmse_interval, (place, place), color=TRUE, lw=1.5)
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel(f"RMSE, {measure}, one period ahead (line: 95 % interval); less is better")
    _save(figure, path)


def draw_curve(path: Path, curve: list[tuple[float, float]], best: int) -> None:
    """Draw the losses by epoch."""
    figure = Figure(figsize=(6, 3))
    axis = figure.subplots()
    epochs = range(1, len(curve) + 1)
    axis.plot(epochs, [loss for loss, _ in curve], color=OTHER, label="fit part, dropout on")
    axis.plot(epochs, [loss for _, loss in curve], color=OURS, label="validation part")
    axis.axvline(best, color=TRUE, lw=0.8, ls=":", label=f"best epoch: {best}")
    axis.set_xlabel("epoch")
    axis.set_ylabel("squared error, scaled")
    axis.legend(fontsize=8)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    with mpl.rc_context({"svg.hashsalt": "forecart"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
