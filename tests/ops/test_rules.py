"""Rules and alerts, without Prometheus: they ask for what there is, and each is tested."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from stream.flow.stops import exit_codes
from stream.settings import COMMIT_SLACK_MS, Settings, SettingsError
from tests.ops import promql

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTS = promql.alerts()
CASES = [
    case
    for path in sorted((PROMETHEUS / "tests").glob("*.yml"))
    for group in yaml.safe_load(path.read_text())["tests"]
    for case in group.get("alert_rule_test", [])
]
# Age by the event's own time: years in a replay, so no rule may look at it.
EVENT_TIME = {"forecart_event_age_seconds", "forecart_watermark_lag_seconds"}
LISTED = {
    "WorkerDown", "MetricsAbsent", "ConsumerStalled", "LagHigh", "ScoringOnCpu",
    "InferenceFailing", "RecoveryStuck", "RebalanceStorm", "TransactionsAborting",
    "DeadLettersRising", "ScoreShift", "AlertFlood", "LatencyBurnsFast", "ModelBehind",
}  # fmt: skip


@pytest.mark.parametrize("rule", promql.rules(), ids=lambda r: r.get("alert") or r["record"])
def test_a_rule_asks_for_what_is_there_and_never_for_event_time(rule):
    assert promql.faults(rule["expr"]) == []
    asked = promql.names_in(rule["expr"])
    assert not asked & EVENT_TIME
    assert not [name for name in asked if name.startswith("forecart_e2e_latency")]


def test_what_was_asked_for_is_there():
    assert set(ALERTS) >= LISTED


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_what_and_where_to_read_on(name):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert "keep_firing_for" in rule
    summary = rule["annotations"]["summary"]
    used = set(re.findall(r"\$labels\.(\w+)", summary))
    assert used <= promql.labels_of(rule["expr"])
    assert "$value" in summary or used
    assert rule["annotations"]["runbook_url"] == f"deploy/runbooks/{name}.md"
    assert (ROOT / rule["annotations"]["runbook_url"]).is_file()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_seen_silent_firing_and_recovered(name):
    """By promtool; here, that the three are asked for in this order."""
    fires = [bool(case["exp_alerts"]) for case in CASES if case["alertname"] == name]
    assert fires[0] is False or name == "ScoringOnCpu"
    text = "".join("F" if fired else "." for fired in fires)
    assert re.search(r"\.F+\.", text), text


def test_no_test_is_for_an_alert_that_is_not():
    assert {case["alertname"] for case in CASES} <= set(ALERTS)


def test_exit_codes_in_rules_exist():
    codes = {str(code) for code in exit_codes()}
    for rule in promql.rules():
        for value in re.findall(r'code=~?"([^"]+)"', rule["expr"]):
            assert set(value.split("|")) <= codes


def test_prometheus_scrapes_the_worker_s_port_and_reads_the_rules():
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (pattern,) = config["rule_files"]
    assert sorted(PROMETHEUS.glob(pattern)) == sorted(promql.RULES.glob("*.yml"))
    job = next(j for j in config["scrape_configs"] if j["job_name"] == "forecart")
    (found,) = job["dns_sd_configs"]
    assert found["port"] == Settings().web_port
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert set(found["names"]) == {name for name in services if name.startswith("worker")}


class TestObjective:
    """The threshold in the rules is the setting's default, and is out of a commit's reach."""

    def test_the_rules_use_the_default(self):
        edges = {
            float(edge)
            for rule in promql.rules()
            if rule.get("record", "").startswith("job:forecart_latency_slow")
            for edge in re.findall(r'le="([^"]+)"', rule["expr"])
        }
        assert edges == {Settings().latency_objective_ms / 1000}

    @pytest.mark.parametrize(("commit_ms", "starts"), [(949, True), (950, False), (951, False)])
    def test_a_commit_interval_that_cannot_meet_it_is_refused(self, commit_ms, starts):
        if starts:
            assert Settings(commit_interval_ms=commit_ms).commit_interval_ms == commit_ms
            return
        with pytest.raises(SettingsError, match=f"commit_interval_ms [+] {COMMIT_SLACK_MS}"):
            Settings(commit_interval_ms=commit_ms)

    @pytest.mark.parametrize(
        ("wait_ms", "starts"), [(-1, False), (0, True), (499, True), (500, False), (600_000, False)]
    )
    def test_so_is_a_fetch_that_may_wait_too_long(self, wait_ms, starts):
        if starts:
            assert Settings(fetch_wait_ms=wait_ms).fetch_wait_ms == wait_ms
            return
        with pytest.raises(SettingsError, match=f"fetch_wait_ms={wait_ms}"):
            Settings(fetch_wait_ms=wait_ms)

    def test_slower_commits_want_another_objective(self):
        assert Settings(commit_interval_ms=2_000, latency_objective_ms=2_500)
        assert "latency_objective_ms" in {field.name for field in fields(Settings)}
