"""Draw a dashboard from its JSON and a Prometheus: one HTML page, a preview without Grafana.

    python -m deploy.dashboards.preview http://localhost:9090 forecart-overview 15 > overview.html

draws the last 15 minutes. Panels are where Grafana has them, with the same queries, units,
thresholds and words for nothing; looks are our own.
"""

import html
import json
import math
import re
import sys
import time
from pathlib import Path
from typing import Any, Final

from deploy.dashboards.ask import Prometheus, Series, filled
from deploy.dashboards.drawing import COLORS, Frame, heat, lines, states
from deploy.dashboards.units import shown

FOLDER: Final = Path(__file__).parents[1] / "grafana" / "dashboards"
COLUMN_PX: Final = 60
ROW_PX: Final = 30
GAP_PX: Final = 6
POINTS: Final = 120
LEGEND_ROWS_MAX: Final = 7
FILL: Final = {"green": "#2e9e4f", "yellow": "#d4a017", "red": "#c0392b", "blue": "#2f6fab"}
STYLE: Final = """
body{margin:0;background:#f2f3f5;font:12px 'DejaVu Sans',sans-serif;color:#222}
header{padding:10px 14px 4px;font-size:19px}header small{color:#555;font-size:12px}
main{position:relative}section{position:absolute;background:#fff;border:1px solid #d7dade;
box-sizing:border-box;overflow:hidden;padding:4px 6px}h2{font-size:12.5px;margin:0 0 3px}
h1{position:absolute;font-size:14px;margin:0;padding:7px 8px;color:#333}
svg text{font-size:10px;fill:#555}.g{stroke:#e6e8ea}
.stat{color:#fff}.stat b{display:block;text-align:center;font-size:26px;padding-top:22px}
.stat.name b{font-size:15px;padding-top:24px}.stat small{display:block;text-align:center;
font-size:14px;padding-top:14px}.stat small+b{padding-top:3px}
.none{color:#888;text-align:center;padding-top:30px}
table{border-collapse:collapse;width:100%;font-size:11px}
td,th{padding:1px 6px 1px 0;text-align:left;white-space:nowrap}
.bars{display:grid;grid-template-columns:auto 1fr auto;gap:12px 10px;padding:14px 6px;
align-items:center;font-size:13px}.bars div{background:#e6e8ea;height:24px}.bars b{text-align:right}
.bars div div{height:100%}
td.n{text-align:right}tr+tr{border-top:1px solid #eee}i{display:inline-block;width:10px;height:3px;
margin-right:5px;vertical-align:middle}
"""


class Preview:
    """A dashboard over a time of one Prometheus."""

    def __init__(self, asked: Prometheus, start: float, end: float, rate_interval: str) -> None:
        self._asked = asked
        self._start = start
        self._end = end
        self._rate_interval = rate_interval
        self._step_s = max(1.0, (end - start) / POINTS)

    def page(self, dashboard: dict[str, Any], about: str) -> tuple[str, int]:
        """Give the HTML, and the pixels of its height."""
        parts = [self._placed(panel) for panel in dashboard["panels"]]
        rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
        title = html.escape(dashboard["title"])
        text = (
            f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
            f"<header>{title} <small>preview: drawn from Prometheus, not by Grafana."
            f" {html.escape(about)}</small></header><main>{''.join(parts)}</main>"
        )
        return text, 44 + rows * ROW_PX + GAP_PX

    def _placed(self, panel: dict[str, Any]) -> str:
        at = panel["gridPos"]
        box = (
            f"left:{at['x'] * COLUMN_PX + GAP_PX}px;top:{at['y'] * ROW_PX}px;"
            f"width:{at['w'] * COLUMN_PX - GAP_PX}px;height:{at['h'] * ROW_PX - GAP_PX}px"
        )
        title = html.escape(panel["title"])
        if panel["type"] == "row":
            return f'<h1 style="{box}">{title}</h1>'
        body, look, kind = self._body(panel)
        return f'<section class="{kind}" style="{box};{look}"><h2>{title}</h2>{body}</section>'

    def _body(self, panel: dict[str, Any]) -> tuple[str, str, str]:
        """Give content, further style and class of a panel."""
        now = panel["type"] in {"stat", "bargauge", "table"}
        named: list[tuple[str, Series]] = []
        for target in panel["targets"]:
            expr = filled(target["expr"], self._rate_interval)
            if now:
                found = self._asked.now(expr, self._end)
            else:
                found = self._asked.over(expr, self._start, self._end, self._step_s)
            named += [(legend(target["legendFormat"], series), series) for series in found]
        named = [pair for pair in named if _numbers(pair[1])]
        if not named:
            empty = html.escape(panel["fieldConfig"]["defaults"]["noValue"])
            return f'<div class="none">{empty}</div>', "", ""
        if panel["type"] == "stat":
            return self._stat(panel, named)
        if panel["type"] == "bargauge":
            return _bars(panel, named), "", ""
        if panel["type"] == "table":
            return _table(panel, [series for _, series in named]), "", ""
        return self._graph(panel, named), "", ""

    def _stat(self, panel: dict[str, Any], named: list[tuple[str, Series]]) -> tuple[str, str, str]:
        defaults = panel["fieldConfig"]["defaults"]
        value = named[0][1].points[-1][1]
        look = f"background:{_color(defaults, value)}"
        mode = panel["options"]["textMode"]
        if mode == "name":
            words = "<br>".join(html.escape(name) for name, _ in named)
            return f"<b>{words}</b>", look, "stat name"
        name = f"<small>{html.escape(named[0][0])}</small>" if mode == "value_and_name" else ""
        text = shown(value, defaults["unit"], defaults.get("decimals"))
        return f"{name}<b>{html.escape(text)}</b>", look, "stat"

    def _graph(self, panel: dict[str, Any], named: list[tuple[str, Series]]) -> str:
        at, defaults = panel["gridPos"], panel["fieldConfig"]["defaults"]
        width = at["w"] * COLUMN_PX - GAP_PX - 14
        height = at["h"] * ROW_PX - GAP_PX - 30
        if panel["type"] == "state-timeline":
            options = defaults["mappings"][0]["options"].values()
            frame = Frame(width, height, self._start, self._end)
            return states(frame, named, FILL[next(iter(options))["color"]], self._step_s)
        if panel["type"] == "heatmap":
            frame = Frame(width, height, self._start, self._end)
            return heat(frame, [series for _, series in named], defaults["unit"], self._step_s)
        kept = sorted(named, key=lambda pair: pair[0])
        rows = min(len(kept), LEGEND_ROWS_MAX)
        rows -= len(kept) > rows  # the last says how many more there are
        frame = Frame(width, height - 17 * min(len(kept), LEGEND_ROWS_MAX), self._start, self._end)
        custom = defaults["custom"]
        drawn = lines(
            frame, kept, defaults["unit"],
            stacked=custom["stacking"]["mode"] == "normal",
            bounds=(defaults.get("min"), defaults.get("max")),
            limits=[
                (step["value"], FILL[step["color"]])
                for step in defaults["thresholds"]["steps"] if step["value"] is not None
            ],
        )  # fmt: skip
        return drawn + _legend(kept[:rows], defaults, len(kept) - rows)


def legend(form: str, series: Series) -> str:
    """Name a series as Grafana does."""
    if form == "__auto":
        return ", ".join(f"{name}={value}" for name, value in sorted(series.labels.items()))
    return re.sub(r"\{\{(\w+)\}\}", lambda found: series.labels.get(found[1], ""), form)


def _numbers(series: Series) -> list[float]:
    return [value for _, value in series.points if not math.isnan(value)]


def _color(defaults: dict[str, Any], value: float) -> str:
    steps = defaults["thresholds"]["steps"]
    reached = [s["color"] for s in steps if s["value"] is None or value >= s["value"]]
    return FILL[reached[-1]]


def _bars(panel: dict[str, Any], named: list[tuple[str, Series]]) -> str:
    """Draw a bar for each series, from nothing to the panel's maximum."""
    defaults = panel["fieldConfig"]["defaults"]
    parts = []
    for name, series in named:
        value = series.points[-1][1]
        share = min(1.0, max(0.0, value / defaults["max"]))
        color = _color(defaults, value)
        text = shown(value, defaults["unit"], defaults.get("decimals"))
        parts.append(
            f"<span>{html.escape(name)}</span>"
            f'<div><div style="width:{share:.1%};background:{color}"></div></div>'
            f'<b style="color:{color}">{text}</b>'
        )
    return f'<div class="bars">{"".join(parts)}</div>'


def _legend(named: list[tuple[str, Series]], defaults: dict[str, Any], more: int) -> str:
    unit, decimals = defaults["unit"], defaults.get("decimals")
    rows = []
    for index, (name, series) in enumerate(named):
        values = _numbers(series)
        rows.append(
            f'<tr><td><i style="background:{COLORS[index % len(COLORS)]}"></i>'
            f'{html.escape(name)}</td><td class="n">{shown(values[-1], unit, decimals)}</td>'
            f'<td class="n">most {shown(max(values), unit, decimals)}</td></tr>'
        )
    if more:
        rows.append(f'<tr><td colspan="3">and {more} more</td></tr>')
    return f"<table>{''.join(rows)}</table>"


def _table(panel: dict[str, Any], found: list[Series]) -> str:
    columns = panel["transformations"][0]["options"]["include"]["names"]
    columns = [name for name in columns if any(name in series.labels for series in found)]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    rows = [
        "".join(f"<td>{html.escape(series.labels.get(name, ''))}</td>" for name in columns)
        for series in found
    ]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def main(arguments: list[str]) -> int:
    """Write the page of one dashboard. Returns the exit status."""
    if len(arguments) != 3:
        print("usage: python -m deploy.dashboards.preview URL DASHBOARD MINUTES", file=sys.stderr)
        return 2
    url, uid, minutes = arguments
    end = time.time()
    preview = Preview(Prometheus(url), end - 60 * float(minutes), end, "1m")
    dashboard = json.loads((FOLDER / f"{uid}.json").read_text())
    print(preview.page(dashboard, f"The last {minutes} minutes.")[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
