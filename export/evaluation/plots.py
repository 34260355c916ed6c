"""Pictures of a comparison, as SVG files. Matplotlib.

Rules of the room: a picture is a function of numbers that were computed elsewhere; no screen, no
clock, so the same numbers give the same bytes. At most LINES_MAX lines, so that each can be told.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from export.evaluation.comparison import Answered, Length
from export.evaluation.probabilities import Curve, Reliability
from export.evaluation.questions import COLUMNS, PRIMARY

Doubles = npt.NDArray[np.float64]

LINES_MAX: Final = 6
_STYLE: Final = {
    "svg.hashsalt": "forecart",
    "svg.fonttype": "none",
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


@contextmanager
def _figure(path: Path, columns: int = 1, *, height: float = 3.4) -> Iterator[list[Any]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.2 * columns, height), layout="constrained")
        yield np.atleast_1d(np.asarray(figure.subplots(1, columns))).tolist()
        figure.savefig(path, format="svg", metadata={"Date": None})


def ladder(path: Path, answered: Answered) -> None:
    """Primary measure of every model with its interval, best on validation at the top."""
    column = next(c for c in COLUMNS[answered.question] if c.name == PRIMARY[answered.question])
    scale = 100.0 if column.percent else 1.0
    with _figure(path, height=0.9 + 0.24 * len(answered.rows)) as (axes,):
        for place, row in enumerate(reversed(answered.rows)):
            cell = row.values[column.name]
            colour = "C3" if row.model == answered.chosen else "C0"
            colour = "0.4" if row.model == answered.reference else colour
            axes.plot([scale * cell.lower, scale * cell.upper], [place, place], color=colour)
            axes.plot(scale * cell.value, place, "o", color=colour, markersize=4)
        axes.set_yticks(range(len(answered.rows)), [row.model for row in reversed(answered.rows)])
        better = "more is better" if column.better > 0 else "less is better"
        axes.set_xlabel(f"{column.name}{', %' if column.percent else ''} ({better})")


def learning_curves(path: Path, curves: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Loss of train (dashed) and of validation after each epoch, model by model."""
    with _figure(path) as (axes,):
        for number, (name, points) in enumerate(curves.items()):
            epochs = np.arange(1, len(points) + 1)
            train, validation = np.array(points, np.float64).T
            axes.plot(epochs, train, "--", color=f"C{number}", alpha=0.6)
            axes.plot(epochs, validation, "o-", color=f"C{number}", markersize=3, label=name)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss (dashed: train)")
        axes.legend()


def confusions(path: Path, counted: Mapping[str, Doubles], names: Sequence[str]) -> None:
    """Confusion matrices: share of each true class (row) that was answered so (column)."""
    with _figure(path, len(counted), height=3.2) as axes_of:
        for axes, (model, cells) in zip(axes_of, counted.items(), strict=True):
            share = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
            axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            for row, column in np.ndindex(*cells.shape):
                text = f"{cells[row, column]:,.0f}\n{100 * share[row, column]:.1f} %"
                dark = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, text, ha="center", va="center", color=dark)
            axes.set_xticks(range(len(names)), names)
            axes.set_yticks(range(len(names)), names)
            axes.set_xlabel("answered")
            axes.set_ylabel("came")
            axes.set_title(model)
            axes.grid(visible=False)


def calibration(path: Path, bins: Mapping[str, Reliability]) -> None:
    """Share of yes against the probability given, in bins of equally many rows."""
    with _figure(path) as (axes,):
        high = max(float(max(made.predicted.max(), made.happened.max())) for made in bins.values())
        axes.plot([0, high], [0, high], color="0.6", linestyle=":")
        for name, made in bins.items():
            axes.plot(made.predicted, made.happened, "o-", markersize=3, label=name)
        axes.set_xlabel("probability given")
        axes.set_ylabel("share that happened")
        axes.legend()


def curves(path: Path, roc: Mapping[str, Curve], pr: Mapping[str, Curve], positives: float) -> None:
    """ROC beside precision and recall; dotted: luck."""
    with _figure(path, 2) as (left, right):
        left.plot([0, 1], [0, 1], color="0.6", linestyle=":")
        right.axhline(positives, color="0.6", linestyle=":")
        for name, curve in roc.items():
            left.plot(*_thinned(curve), label=name)
        for name, curve in pr.items():
            right.plot(*_thinned(curve), label=name)
        left.set_xlabel("false positive rate")
        left.set_ylabel("true positive rate")
        right.set_xlabel("recall")
        right.set_ylabel("precision")
        left.legend()


def by_length(
    path: Path, lengths: Sequence[Length], models: Sequence[str], label: str, scale: float
) -> None:
    """Primary measure by the steps that a user had before."""
    with _figure(path) as (axes,):
        names = [
            f"{length.first}-{length.last}" if length.last else f"{length.first}+"
            for length in lengths
        ]
        for model in models:
            axes.plot(
                range(len(lengths)),
                [scale * length.values[model] for length in lengths],
                "o-",
                markersize=3,
                label=model,
            )
        axes.set_xticks(range(len(lengths)), names)
        axes.set_xlabel("steps of the user so far")
        axes.set_ylabel(label)
        axes.legend()


def against(
    path: Path, x: Sequence[float], panels: Mapping[str, Sequence[tuple[float, float, float]]]
) -> None:
    """Values with their intervals against one setting, a panel each."""
    with _figure(path, len(panels)) as axes_of:
        for axes, (name, cells) in zip(axes_of, panels.items(), strict=True):
            value, lower, upper = np.array(cells, np.float64).T
            axes.errorbar(x, value, [value - lower, upper - value], fmt="o-", capsize=3)
            axes.set_xscale("log", base=2)
            axes.set_xticks(x, [f"{at:g}" for at in x])
            axes.set_ylabel(name)
            axes.set_xlabel("L")


def _thinned(curve: Curve, points_max: int = 400) -> tuple[Doubles, Doubles]:
    """Points enough for a picture: a file of every threshold is megabytes."""
    at = np.unique(np.linspace(0, len(curve.x) - 1, points_max).astype(np.int64))
    return curve.x[at], curve.y[at]
