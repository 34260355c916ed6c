"""One panel: what it asks, how it is drawn, what it says; and its JSON for Grafana."""

from dataclasses import dataclass
from typing import Any, Final, Literal

Json = dict[str, Any]
Kind = Literal["stat", "bargauge", "timeseries", "table", "state-timeline", "heatmap"]
Step = tuple[float | None, str]  # from this value on, this colour; None: from the beginning

GREEN: Final = "green"
YELLOW: Final = "yellow"
RED: Final = "red"
BLUE: Final = "blue"
PLAIN: Final[tuple[Step, ...]] = ((None, BLUE),)
NONE_ALLOWED: Final[tuple[Step, ...]] = ((None, GREEN), (1, RED))
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WORKERS: Final = 'job=~"$job", instance=~"$instance"'


@dataclass(frozen=True)
class Query:
    """PromQL, and the name of what it gives."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """What stands in one rectangle of a dashboard. width: of 24 columns; height: in grid rows."""

    title: str
    description: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    no_value: str = "no data"
    steps: tuple[Step, ...] = PLAIN
    stacked: bool = False
    decimals: int | None = None
    minimum: float | None = 0
    maximum: float | None = None
    words: tuple[tuple[float, str, str], ...] = ()  # a value, the word shown for it, its colour
    text: Literal["auto", "name", "value_and_name"] = "auto"  # of a stat
    columns: tuple[str, ...] = ()  # of a table: labels, in order

    def json(self, number: int, x: int, y: int) -> Json:
        """Give Grafana's model of it."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [self._target(query, index) for index, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
            "transformations": self._transformations(),
            "links": [],
        }

    def _target(self, query: Query, index: int) -> Json:
        now = self.kind == "table"
        shape = {"table": "table", "heatmap": "heatmap"}.get(self.kind, "time_series")
        return {
            "refId": chr(ord("A") + index),
            "datasource": DATASOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "format": shape,
            "instant": now,
            "range": not now,
        }

    def _defaults(self) -> Json:
        found: Json = {
            "unit": self.unit,
            "noValue": self.no_value,
            "thresholds": {
                "mode": "absolute",
                "steps": [{"value": value, "color": color} for value, color in self.steps],
            },
            "color": {
                "mode": "palette-classic" if self.kind == "timeseries" else "thresholds",
            },
            "mappings": [],
        }
        if self.words:
            options = {
                f"{value:g}": {"text": word, "color": color, "index": index}
                for index, (value, word, color) in enumerate(self.words)
            }
            found["mappings"] = [{"type": "value", "options": options}]
        if self.decimals is not None:
            found["decimals"] = self.decimals
        if self.kind in {"timeseries", "bargauge"}:
            found |= {} if self.minimum is None else {"min": self.minimum}
            found |= {} if self.maximum is None else {"max": self.maximum}
        if self.kind == "timeseries":
            found["custom"] = self._lines()
        elif self.kind == "state-timeline":
            found["custom"] = {"fillOpacity": 70, "lineWidth": 0}
        return found

    def _lines(self) -> Json:
        limit = len(self.steps) > 1
        return {
            "drawStyle": "line",
            "lineInterpolation": "linear",
            "lineWidth": 1,
            "fillOpacity": 25 if self.stacked else 8,
            "showPoints": "auto",
            "spanNulls": False,
            "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if limit else "off"},
        }

    def _options(self) -> Json:
        newest = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        if self.kind == "bargauge":
            return {
                "displayMode": "basic",
                "namePlacement": "left",
                "orientation": "horizontal",
                "reduceOptions": newest,
                "showUnfilled": True,
                "valueMode": "color",
            }
        if self.kind == "stat":
            return {
                "colorMode": "background",
                "graphMode": "none",
                "justifyMode": "auto",
                "orientation": "auto",
                "reduceOptions": newest,
                "textMode": self.text,
                "wideLayout": True,
            }
        if self.kind == "table":
            return {"showHeader": True, "cellHeight": "sm"}
        if self.kind == "heatmap":
            return {
                "calculate": False,
                "cellGap": 1,
                "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
                "filterValues": {"le": 1e-9},
                "legend": {"show": True},
                "rowsFrame": {"layout": "auto"},
                "tooltip": {"mode": "single", "yHistogram": False},
                "yAxis": {"unit": self.unit},
            }
        shown = {"displayMode": "list", "placement": "bottom", "showLegend": True}
        if self.kind == "state-timeline":
            return {"mergeValues": True, "rowHeight": 0.8, "showValue": "never", "legend": shown}
        return {
            "legend": {**shown, "displayMode": "table", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }

    def _transformations(self) -> list[Json]:
        if self.kind != "table":
            return []
        keep = {"names": [*self.columns]}
        order = {name: index for index, name in enumerate(self.columns)}
        return [
            {"id": "filterFieldsByName", "options": {"include": keep}},
            {"id": "organize", "options": {"indexByName": order}},
        ]


def quantile(share: float, metric: str, labels: str = WORKERS, by: str = "") -> str:
    """Ask for a quantile of a histogram over the workers, by further labels if wanted."""
    groups = f"{by}, le" if by else "le"
    rate = f"rate(forecart_{metric}_bucket{{{labels}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({groups}) ({rate}))"


def per_second(metric: str, by: str = "", labels: str = WORKERS) -> str:
    """Ask for a counter's rate, summed over the workers, by labels if wanted."""
    groups = f" by ({by})" if by else ""
    return f"sum{groups} (rate(forecart_{metric}{{{labels}}}[$__rate_interval]))"
