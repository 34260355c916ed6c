"""The dashboards: as the code writes them, on the grid, asking for what there is."""

import json
import re
from pathlib import Path

import pytest
import yaml

from deploy.dashboards import __main__ as dashboards
from deploy.dashboards.panel import DATASOURCE
from tests.ops import promql

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
PAGES = {path.stem: json.loads(path.read_text()) for path in FILES}
PANELS = [
    pytest.param(page, panel, id=f"{uid}: {panel['title']}")
    for uid, page in PAGES.items()
    for panel in page["panels"]
    if panel["type"] != "row"
]
KINDS = {"stat", "bargauge", "timeseries", "table", "state-timeline", "heatmap"}
UNITS = {"short", "s", "bytes", "Bps", "percentunit", "eps", "cps", "watt"}  # of those Grafana has


def test_there_are_four_and_they_are_what_the_code_writes():
    assert len(PAGES) == 4
    assert dashboards.main(["--check"]) == 0


def test_a_stale_or_foreign_file_is_noticed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dashboards, "FOLDER", tmp_path)
    assert dashboards.main([]) == 0
    assert dashboards.main(["--check"]) == 0
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "forecart-model.json").write_text("{}")
    assert dashboards.main(["--check"]) == 1
    assert "forecart-model.json, old.json" in capsys.readouterr().out
    assert dashboards.main([]) == 0
    assert dashboards.main(["--check"]) == 0


@pytest.mark.parametrize("uid", PAGES)
def test_a_page_has_what_grafana_wants(uid):
    page = PAGES[uid]
    assert page["uid"] == uid
    assert re.fullmatch(r"[a-z-]{1,40}", uid)
    assert page["schemaVersion"] >= 39
    numbers = [panel["id"] for panel in page["panels"]]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    (links,) = page["links"]
    assert links["keepTime"]
    assert links["includeVars"]
    assert set(links["tags"]) <= set(page["tags"])
    pickers = {picker["name"]: picker for picker in page["templating"]["list"]}
    assert list(pickers) == ["datasource", "job", "instance"]
    for name in ("job", "instance"):
        metric, label = re.fullmatch(
            r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", pickers[name]["definition"]
        ).groups()
        assert metric in promql.series()
        assert label == name
    titles = [panel["title"] for panel in page["panels"]]
    assert len(titles) == len(set(titles))
    for note in page["annotations"]["list"]:
        assert promql.faults(note["expr"]) == []


def off_the_grid(panels):
    """Say which panels lie outside the 24 columns, or on another one."""
    taken, wrong = {}, []
    for panel in panels:
        at = panel["gridPos"]
        if at["x"] < 0 or at["x"] + at["w"] > 24:
            wrong.append(f"{panel['title']} is outside")
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                other = taken.setdefault((x, y), panel["title"])
                if other != panel["title"]:
                    wrong.append(f"{panel['title']} lies on {other}")
    return wrong


@pytest.mark.parametrize("uid", PAGES)
def test_panels_lie_on_the_grid_and_on_no_other(uid):
    assert off_the_grid(PAGES[uid]["panels"]) == []


@pytest.mark.parametrize(
    ("places", "objection"),
    [
        ([(0, 0, 12, 8), (12, 0, 12, 8), (0, 8, 24, 1)], ""),
        ([(0, 0, 12, 8), (12, 0, 13, 8)], "1 is outside"),
        ([(0, 0, 12, 8), (11, 7, 12, 8)], "1 lies on 0"),
    ],
)
def test_a_panel_off_the_grid_is_found(places, objection):
    panels = [
        {"title": str(index), "gridPos": dict(zip("xywh", place, strict=True))}
        for index, place in enumerate(places)
    ]
    found = off_the_grid(panels)
    assert bool(found) == bool(objection)
    assert objection in "".join(found)


@pytest.mark.parametrize(("page", "panel"), PANELS)
def test_a_panel_asks_for_what_is_there_and_says_what_it_shows(page, panel):
    assert panel["type"] in KINDS
    assert panel["datasource"] == DATASOURCE
    assert panel["targets"]
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["noValue"].strip()
    assert defaults["unit"] in UNITS
    steps = [step["value"] for step in defaults["thresholds"]["steps"]]
    assert steps[0] is None
    assert steps[1:] == sorted(steps[1:])
    description = panel["description"]
    said = set(re.findall(r"`(?:forecart_|process_|up|ALERTS)\w*", description))
    asked: set[str] = set()
    for target in panel["targets"]:
        text = target["expr"]
        assert promql.faults(text) == []
        if "forecart_build_info" not in text and "ALERTS" not in text:
            assert "$job" in text, "shows workers of every job"
        asked |= promql.names_in(text)
        legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert legend <= promql.labels_of(text)
        if panel["type"] == "table":
            columns = panel["transformations"][0]["options"]["include"]["names"]
            assert set(columns) <= promql.labels_of(text)
    # Each metric that is shown is named in the words beside it, a recording by its own metric.
    for name in asked:
        metric = re.sub(r"_(bucket|sum|count)$", "", name)
        metric = re.sub(r"^\w+:(\w+):\w+$", r"\1", metric).replace(
            "forecart_latency_slow", "forecart_processing_latency_seconds"
        )
        assert any(metric in word for word in said), f"{name} is not in: {description}"
    refs = [target["refId"] for target in panel["targets"]]
    assert len(refs) == len(set(refs))


@pytest.mark.parametrize(("page", "panel"), PANELS)
def test_a_panel_names_only_runbooks_and_commands_that_exist(page, panel):
    known = promql.alerts()
    for name in re.findall(r"[Rr]unbook (\w+)", panel["description"]):
        assert name in known, name
    for name in re.findall(r"\b([A-Z]\w+[a-z][A-Z]\w+)\b", panel["description"]):
        assert name in known or name == "PromQL", name


def test_a_worker_that_is_down_has_a_tile():
    expressions = [
        target["expr"]
        for panel in PAGES["forecart-overview"]["panels"]
        if panel["type"] == "stat"
        for target in panel["targets"]
    ]
    assert any(re.search(r"up\{.*\} == 0", text) for text in expressions)


def test_every_metric_is_on_some_dashboard():
    """A number that nobody looks at need not be measured."""
    texts = [
        t["expr"] for page in PAGES.values() for p in page["panels"] for t in p.get("targets", [])
    ]
    shown = {
        re.sub(r"_(bucket|sum|count)$", "", name) for t in texts for name in promql.names_in(t)
    }
    unseen = {
        "forecart_produce_errors_total",  # not measured yet
        "forecart_inference_padded_steps_total",  # nothing is padded by this version's bundles
    }
    metrics = {promql.PREFIX + metric.name for metric in promql.METRICS}
    assert metrics - shown - {"forecart_ready"} <= unseen


def test_provisioning_names_what_is_there():
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    (prometheus,) = source["datasources"]
    assert prometheus["type"] == DATASOURCE["type"]
    assert prometheus["isDefault"]
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/forecart.yml").read_text())
    (files,) = provider["providers"]
    assert files["options"]["path"] == "/var/lib/grafana/dashboards"


@pytest.mark.parametrize(
    ("text", "objection"),
    [
        ("forecart_no_such_total", "nobody exposes"),
        ("forecart_events_consumed_total{outcome='predicted'}", "no label 'outcome'"),
        ("forecart_events_consumed_total{topic='refunds'}", "topic is never 'refunds'"),
        ("forecart_events_consumed_total{topic=~'clicks|refunds'}", "never 'refunds'"),
        ("forecart_processing_latency_seconds_bucket{le='1'}", "le is never '1'"),
        ("sum by (user) (forecart_ready)", "no label 'user'"),
        ("sum(forecart_ready", "ready"),
        ("sum by (topic) (rate(forecart_events_consumed_total{topic!='clicks'}[5m])) > 0", ""),
        ("forecart_processing_latency_seconds_bucket{le='1.0'}", ""),
    ],
)
def test_an_expression_that_asks_for_nothing_is_found(text, objection):
    found = "\n".join(promql.faults(text))
    assert objection in found
    assert bool(found) == bool(objection)
