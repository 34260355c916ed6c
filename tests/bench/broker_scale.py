"""`python -m tests.bench.broker_scale --axis NAME`: throughput when the deployment's shape changes.

Partitions, compression of the load, or workers vary, all else is the bench card in profile `step`;
a real broker, the floor beside each. Points take turns, round by round. Writes a table and a chart
into docs/scale.md with `--page`.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench import machine
from tests.bench.card import Card
from tests.bench.case import Case
from tests.bench.present import (
    OTHERS_COLOR,
    OURS_COLOR,
    empty_figure,
    keep_figure,
    markdown,
    spread,
    write_between,
)
from tests.bench.random_bundle import OUTPUT
from tests.bench.run import CONTENDERS, bundle_of, own_broker, run_once

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/scale.md"
HEADS: Final = ("events/s", "of the floor", "µs CPU an event", "floor, events/s", "runs")


class Axis(NamedTuple):
    """What varies."""

    title: str
    values: tuple[int | str, ...]
    events: int = 400_000


AXES: Final = {
    "partitions": Axis("partitions", (4, 16, 64)),
    "compression": Axis("compression of the events", ("none", "lz4", "zstd", "gzip")),
    # The rate is that of the second half: by then every worker has to be at work.
    "workers": Axis("workers", (1, 2, 3), events=1_200_000),
}


def shaped(axis: str, value: int | str) -> dict[str, Any]:
    """Give the case's fields for a value."""
    return {"card": Card(partitions=int(value))} if axis == "partitions" else {axis: value}


def main(arguments: list[str] | None = None) -> int:
    """Measure an axis, or put reports on the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.broker_scale", description=__doc__)
    parser.add_argument("--axis", choices=list(AXES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, help="default: the axis' own")
    parser.add_argument("--page", nargs="+", type=Path, metavar="JSON", default=())
    options = parser.parse_args(arguments)
    for path in options.page:
        report = json.loads(path.read_text())
        on_page(report)
    if options.axis is not None:
        measure(options.axis, options.rounds, options.events or AXES[options.axis].events)
    return 0


def measure(axis: str, rounds: int, events: int) -> None:
    """Run floor and worker for each value in turn."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = OUTPUT / f"broker-{axis}-{stamp}.json"
    report: dict[str, Any] = {"axis": axis, "machine": machine.card(), "runs": []}
    with own_broker() as bootstrap:
        for number in range(rounds):
            for value in AXES[axis].values:
                for name in ("floor", "step"):
                    entry = CONTENDERS[name]
                    case = Case(
                        contender=entry.module, mode="drain", bootstrap=bootstrap,
                        prefix=f"bench-{stamp}-{number}-{value}-{name}-", events=events,
                        bundle=bundle_of(entry, ""), **shaped(axis, value),
                    )  # fmt: skip
                    run = {"value": value, "name": name, "round": number, **run_once(case)}
                    report["runs"].append(run)
                    path.write_text(json.dumps(report, indent=1))
    print(table(report))
    print(f"all of it: {path}")


def on_page(report: dict[str, Any]) -> None:
    """Write table and chart."""
    axis = report["axis"]
    write_between(PAGE, axis, table(report))
    draw(report, ROOT / f"docs/pictures/scale-{axis}.svg")


def pairs_of(report: dict[str, Any], value: int | str) -> list[tuple[dict[str, Any], float]]:
    """Give a value's runs, each with the floor's rate in the same round."""
    runs = [run for run in report["runs"] if run["value"] == value and "error" not in run]
    floors = {run["round"]: run["events_per_second"] for run in runs if run["name"] == "floor"}
    ours = [run for run in runs if run["name"] == "step" and run["round"] in floors]
    return [(run, floors[run["round"]]) for run in ours]


def table(report: dict[str, Any]) -> str:
    """Write an axis in Markdown: medians, lowest and highest."""
    axis = AXES[report["axis"]]
    rows = []
    for value in axis.values:
        pairs = pairs_of(report, value)
        if not pairs:
            rows.append([f"{value}", "failed", "", "", "", "0"])
            continue
        rows.append([
            f"{value}",
            spread([run["events_per_second"] for run, _ in pairs], "{:,.0f}"),
            spread([run["events_per_second"] / floor for run, floor in pairs], "{:.2f}"),
            spread([run["cpu_us_per_event"] for run, _ in pairs], "{:.1f}"),
            spread([floor for _, floor in pairs], "{:,.0f}"),
            f"{len(pairs)}",
        ])  # fmt: skip
    return markdown((axis.title, *HEADS), rows)


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw medians over the values."""
    axis = AXES[report["axis"]]
    figure, axes = empty_figure(6, 3)
    found = {f"{value}": pairs_of(report, value) for value in axis.values}
    names = [name for name, pairs in found.items() if pairs]
    pairs = [found[name] for name in names]
    ours = [statistics.median(run["events_per_second"] for run, _ in some) for some in pairs]
    floors = [statistics.median(floor for _, floor in some) for some in pairs]
    axes.plot(names, floors, color=OTHERS_COLOR, marker="o", label="floor")
    axes.plot(names, ours, color=OURS_COLOR, marker="o", linewidth=2.5, label="Forecart, step")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda rate, _place: f"{rate:,.0f}")
    axes.set_xlabel(axis.title)
    axes.set_ylabel("events/s")
    axes.legend(frameon=False, fontsize=8)
    keep_figure(figure, path)


if __name__ == "__main__":
    sys.exit(main())
