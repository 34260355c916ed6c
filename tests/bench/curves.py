"""`python -m tests.bench.curves JSON...`: runs of tests.bench.scale as tables and charts.

Tables go between the marks of docs/scale.md, a chart per axis into docs/pictures. Runs of the same
axis are taken together; every cost is a share of the card's in its own round.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from tests.bench.pipeline import STAGES
from tests.bench.present import (
    OURS_COLOR,
    empty_figure,
    keep_figure,
    markdown,
    spread,
    write_between,
)
from tests.bench.scale import AXES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/scale.md"
PICTURES = ROOT / "docs/pictures"
HEADS: Final = ("µs an event", "of the card's", *STAGES, "steps", "rows", "bytes", "batch")
STAGE_COLORS: Final = dict(
    zip(
        STAGES,
        ("#d1242f", "#9a6700", "#1a7f37", "#0a7ea4", "#8250df", "#bf3989", "#57606a"),
        strict=True,
    )
)
ROOM_ABOVE: Final = 1.15

Point = list[dict[str, Any]]  # runs of one value, each with its `share` of the card's


def points_of(reports: list[dict[str, Any]]) -> dict[int, Point]:
    """Take the reports of one axis together, by value in rising order."""
    found: dict[int, Point] = defaultdict(list)
    for report in reports:
        by_value = {point["value"]: point["runs"] for point in report["points"]}
        card = by_value[report["card_value"]]
        for value, runs in by_value.items():
            for run, beside in zip(runs, card, strict=True):
                share = run["cpu_us_per_event"] / beside["cpu_us_per_event"]
                found[value].append(run | {"share": share})
    return dict(sorted(found.items()))


def table(axis: str, points: dict[int, Point]) -> str:
    """Write an axis in Markdown: medians, for the cost lowest and highest too."""
    rows = []
    for value, runs in points.items():
        stages = [f"{statistics.median(_of_stage(runs, stage)):.2f}" for stage in STAGES]
        name = f"{value:,}"
        rows.append(
            [
                f"**{name}**" if value == AXES[axis].card_value else name,
                spread(_all(runs, "cpu_us_per_event"), "{:.1f}"),
                spread(_all(runs, "share"), "{:.2f}"),
                *stages,
                f"{statistics.median(_all(runs, 'steps_per_event')):.2f}",
                f"{statistics.median(_all(runs, 'state_rows_per_event')):.2f}",
                f"{statistics.median(_all(runs, 'state_bytes_per_event')):,.0f}",
                f"{statistics.median(_all(runs, 'batch_rows')):,.0f}",
            ]
        )
    return markdown((AXES[axis].title, *HEADS), rows)


def draw(axis: str, points: dict[int, Point], path: Path) -> None:
    """Draw the cost and its stages over the values, both axes logarithmic."""
    figure, axes = empty_figure(8, 4)
    values = list(points)
    for stage, color in STAGE_COLORS.items():
        costs = [statistics.median(_of_stage(runs, stage)) for runs in points.values()]
        axes.plot(values, costs, color=color, label=stage, linewidth=1)
    costs = [_all(runs, "cpu_us_per_event") for runs in points.values()]
    middle = [statistics.median(of_one) for of_one in costs]
    reach = [
        [median - min(of_one) for median, of_one in zip(middle, costs, strict=True)],
        [max(of_one) - median for median, of_one in zip(middle, costs, strict=True)],
    ]
    axes.errorbar(
        values, middle, yerr=reach, color=OURS_COLOR, linewidth=2.5, capsize=3, label="all"
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(values, [f"{value:,}" for value in values])
    axes.yaxis.set_major_formatter(lambda cost, _place: f"{cost:g}")
    axes.minorticks_off()
    axes.set_xlabel(AXES[axis].title)
    axes.set_ylabel("µs of processor time an event")
    axes.set_ylim(top=max(map(max, costs)) * ROOM_ABOVE)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    keep_figure(figure, path)


def _all(runs: Point, key: str) -> list[float]:
    return [run[key] for run in runs]


def _of_stage(runs: Point, stage: str) -> list[float]:
    return [run["stages_us"][stage] for run in runs]


def main(arguments: list[str] | None = None) -> int:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.curves", description=__doc__)
    parser.add_argument("reports", nargs="+", type=Path, metavar="JSON")
    options = parser.parse_args(arguments)
    by_axis: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in options.reports:
        report = json.loads(path.read_text())
        by_axis[report["axis"]].append(report)
    for axis, reports in by_axis.items():
        points = points_of(reports)
        text = table(axis, points)
        write_between(PAGE, axis, text)
        draw(axis, points, PICTURES / f"scale-{axis}.svg")
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
