"""Prometheus's own tool on what is deployed: config, rules, and each alert's tests."""

from pathlib import Path

import pytest

from tests.ops.installed import run

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
pytestmark = pytest.mark.operations


def test_the_config_is_taken():
    done = run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_taken_without_a_remark():
    rules = sorted((PROMETHEUS / "rules").glob("*.yml"))
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *rules)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda p: p.stem)
def test_alerts_are_silent_fire_and_recover(path):
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_threshold_that_is_changed_is_noticed(tmp_path):
    """The tests of the alerts can fail."""
    for part in ("rules", "tests"):
        (tmp_path / part).mkdir()
    text = (PROMETHEUS / "rules" / "alerts.yml").read_text()
    changed = text.replace("job:forecart_consumer_lag_seconds:max > 60", "vector(90) > 60")
    assert changed != text
    (tmp_path / "rules" / "alerts.yml").write_text(changed)
    for path in ("rules/recording.yml", "tests/flow.yml"):
        (tmp_path / path).write_text((PROMETHEUS / path).read_text())
    done = run("promtool", "test", "rules", tmp_path / "tests" / "flow.yml")
    assert done.returncode != 0
    assert "LagHigh" in done.stdout + done.stderr
