"""Grafana's own types read the dashboards and write them back with nothing lost or changed."""

import json
from pathlib import Path

import pytest

from tests.deploy.from_pypi import from_pypi

PACKAGE = "grafana-foundation-sdk==0.0.21"  # the unpinned one is for Grafana 10
PAGES = sorted((Path(__file__).parents[2] / "deploy/grafana/dashboards").glob("*.json"))
THERE_AND_BACK = """
import json, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
print(JSONEncoder().encode(Dashboard.from_json(json.load(open(sys.argv[1])))))
"""
pytestmark = pytest.mark.operations


def lost(ours, theirs, at=""):
    """Name what is gone or another; defaults that are added are no loss."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [w for key in ours for w in lost(ours[key], theirs.get(key), f"{at}.{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [w for i, (a, b) in pairs for w in lost(a, b, f"{at}[{i}]")]
    return [] if ours == theirs else [f"{at}: {ours!r} is {theirs!r}"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_dashboard_is_what_grafana_s_types_say(path):
    done = from_pypi(PACKAGE, "python", "-c", THERE_AND_BACK, str(path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert lost(json.loads(path.read_text()), json.loads(done.stdout)) == []


def test_a_loss_is_found():
    assert lost({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2, "c": 0}]}) == []
    assert lost({"a": [1, {"b": 2}]}, {"a": [1, {}]}) == [".a[1].b: 2 is None"]
