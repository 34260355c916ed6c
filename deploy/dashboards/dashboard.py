"""A dashboard: rows of panels on the grid of Grafana, the pickers above, the links between."""

from dataclasses import dataclass
from typing import Final

from deploy.dashboards.panel import DATASOURCE, Json, Panel

COLUMNS: Final = 24
TAG: Final = "forecart"
SCHEMA_VERSION: Final = 39  # of Grafana 11 and later, which read it and older ones


@dataclass(frozen=True)
class Row:
    """A question, and the panels that answer it."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """A page of rows. `uid` is its address and its file's name."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    def json(self) -> Json:
        """Give Grafana's model of it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "timezone": "utc",
            "time": {"from": "now-1h", "to": "now"},
            "refresh": "10s",
            "annotations": {"list": [_firing()]},
            "templating": {"list": _pickers()},
            "links": [_links()],
            "panels": self._panels(),
        }

    def _panels(self) -> list[Json]:
        found: list[Json] = []
        y = 0
        for row in self.rows:
            found.append(
                {
                    "id": len(found) + 1,
                    "type": "row",
                    "title": row.title,
                    "collapsed": False,
                    "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
                    "panels": [],
                }
            )
            y += 1
            x = height = 0
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    x, y, height = 0, y + height, 0
                found.append(panel.json(len(found) + 1, x, y))
                x += panel.width
                height = max(height, panel.height)
            y += height
        return found


def _firing() -> Json:
    """Mark when alerts of ours were firing, in every graph."""
    return {
        "name": "Firing",
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "datasource": DATASOURCE,
        "expr": 'ALERTS{alertstate="firing", severity="page"}',
        "titleFormat": "{{alertname}}",
        "step": "60s",
    }


def _pickers() -> list[Json]:
    return [
        {
            "name": "datasource",
            "label": "Prometheus",
            "type": "datasource",
            "query": "prometheus",
            "current": {},
            "hide": 0,
        },
        _picker("job", "Job", "label_values(forecart_build_info, job)"),
        _picker("instance", "Worker", 'label_values(forecart_build_info{job=~"$job"}, instance)'),
    ]


def _picker(name: str, label: str, query: str) -> Json:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": f"picker-{name}"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
    }


def _links() -> Json:
    """List the other dashboards; the time and the chosen workers go along."""
    return {
        "type": "dashboards",
        "title": "Forecart",
        "tags": [TAG],
        "asDropdown": False,
        "keepTime": True,
        "includeVars": True,
        "targetBlank": False,
    }
