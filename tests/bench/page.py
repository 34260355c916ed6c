"""`python -m tests.bench.page JSON...`: the runs of build/bench as a table and a chart.

Both go into docs: the chart as an SVG, the table between two marks of the page. Rates are shares of
the floor of the same run (the same file and round), so that slow hours of a machine cancel out.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.present import (
    OTHERS_COLOR,
    OURS_COLOR,
    empty_figure,
    keep_figure,
    markdown,
    spread,
    write_between,
)
from tests.bench.run import CONTENDERS, FLOORS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/performance.md"
CHART = ROOT / "docs/pictures/rivals.svg"
OURS = "step"
TITLES = {
    "floor": ("floor: no work", ""),
    "step": ("**Forecart**, profile `step`", ""),
    "streams": ("Kafka Streams, 2 threads, no model", "2x"),
    "streams-model": ("Kafka Streams, 2 threads, an LSTM step in process", "10x"),
    "quix": ("Quix Streams, no model", "10x"),
    "bytewax": ("Bytewax, no model, at least once", ""),
    "flink": ("PyFlink, no model", ""),
    "faust": ("stock Faust, no model, at least once", "100x"),
}


class Row(NamedTuple):
    """What the runs of a contender say."""

    name: str
    rates: list[float]  # events/s
    shares: list[float]  # of the floor in the same round
    ahead: list[float]  # Forecart's median share over these
    cpu_us: float


def rows(reports: list[dict[str, Any]]) -> list[Row]:
    """Take the reports together, a row per contender of TITLES that ran."""
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for report in reports:
        rounds: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
        for run in report["runs"]:
            if run["mode"] == "drain" and "error" not in run:
                rounds[run["round"]][run["name"]] = run
        for of_round in rounds.values():
            for name, run in of_round.items():
                floor = of_round.get(FLOORS[CONTENDERS[name].profile])
                if floor is not None:
                    rate = run["events_per_second"]
                    share = rate / floor["events_per_second"]
                    found[name].append((rate, share, run["cpu_us_per_event"]))
    ours = statistics.median(share for _, share, _ in found[OURS])
    made = []
    for name in TITLES:
        if name in found:
            rates, shares, cpu = map(list, zip(*found[name], strict=True))
            ahead = [ours / share for share in shares]
            made.append(Row(name, rates, shares, ahead, statistics.median(cpu)))
    return made


def table(found: list[Row]) -> str:
    """Write the table in Markdown: medians, lowest and highest in brackets."""
    heads = [
        "contender", "events/s", "of the floor", "Forecart is ahead by", "target",
        "µs CPU an event", "runs",
    ]  # fmt: skip
    lines = []
    for row in found:
        title, target = TITLES[row.name]
        own = row.name in {"floor", OURS}
        cells = [
            title,
            spread(row.rates, "{:,.0f}"),
            spread(row.shares, "{:.4f}" if max(row.shares) < 0.1 else "{:.2f}"),
            "" if own else spread(row.ahead, "{:.1f}x"),
            target,
            f"{row.cpu_us:,.1f}",
            str(len(row.rates)),
        ]
        lines.append(cells)
    return markdown(heads, lines)


def draw(found: list[Row], path: Path) -> None:
    """Draw shares of the floor as bars on a logarithmic axis."""
    ordered = sorted(found, key=lambda row: statistics.median(row.shares))
    figure, axes = empty_figure(8, 0.45 * len(ordered) + 1.2)
    for place, row in enumerate(ordered):
        share = statistics.median(row.shares)
        reach = [[share - min(row.shares)], [max(row.shares) - share]]
        color = OURS_COLOR if row.name == OURS else OTHERS_COLOR
        axes.barh(place, share, xerr=reach, color=color, ecolor="#333333", capsize=3)
        text = f" {statistics.median(row.rates):,.0f}/s"
        axes.text(max(row.shares), place, text, va="center", fontsize=9)
    names = [TITLES[row.name][0].replace("*", "").replace("`", "") for row in ordered]
    axes.set_yticks(range(len(ordered)), names)
    axes.set_xscale("log")
    axes.set_xlim(right=4)
    axes.set_xlabel("share of the floor, logarithmic; line: lowest to highest")
    keep_figure(figure, path)


def main(arguments: list[str] | None = None) -> int:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page", description=__doc__)
    parser.add_argument("reports", nargs="+", type=Path, metavar="JSON")
    options = parser.parse_args(arguments)
    found = rows([json.loads(path.read_text()) for path in options.reports])
    text = table(found)
    write_between(PAGE, "rivals", text)
    draw(found, CHART)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
