"""A real Prometheus: of a real worker under load, and of an hour in which all went wrong.

Each panel of each dashboard is asked for; one that shows nothing asks for the wrong thing. Each
rule is evaluated, and Prometheus finds nothing to say about any.
"""

import json
import math
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.dashboards.ask import Prometheus, filled
from stream.flow.stops import CommitAbortedError
from stream.local.stop_counts import StopCounts
from tests.deployment import until
from tests.kafka_tools import delete_topics
from tests.ops import incident, promql
from tests.ops.installed import run
from tests.ops.live import Live
from tests.ops.watching import RATE_INTERVAL, Watching

PAGES = sorted((Path(__file__).parents[2] / "deploy/grafana/dashboards").glob("*.json"))
ASKED = {
    target["expr"]: f"{page.stem}: {panel['title']} {target['refId']}"
    for page in PAGES
    for panel in json.loads(page.read_text())["panels"]
    for target in panel.get("targets", [])
}  # each once: the strip of tiles is on every page
PANELS = [pytest.param(expr, id=name) for expr, name in ASKED.items()]
BOOKS = sorted((Path(__file__).parents[2] / "deploy/runbooks").glob("[A-Z]*[a-z].md"))
FIRST = {
    book.stem: "\n".join(re.findall(r"^    (.+)$", book.read_text(), re.MULTILINE))
    for book in BOOKS
}
ASKING = {name: command for name, command in FIRST.items() if "127.0.0.1:6066" in command}
# What a healthy worker on the CPU, without a shadow and in its first minute, has nothing of.
NOT_LIVE = (
    "forecart_gpu_", "forecart_shadow_", "forecart_promotion_", "ALERTS", "forecart_stops_total",
    "forecart_rebalance_duration_", "forecart_recovery_duration_",
)  # fmt: skip
pytestmark = [pytest.mark.operations, pytest.mark.timeout(240)]


def shows(asked: Prometheus, expr: str, at: float | None = None) -> bool:
    """Whether an expression gives a number at a moment (default: now)."""
    found = asked.now(filled(expr, RATE_INTERVAL if at is None else "1m"), at)
    return any(math.isfinite(value) for series in found for _, value in series.points)


@pytest.fixture(scope="module")
def live(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    started = Live(kafka, folder)
    # A failure of the process before: told of by this one.
    StopCounts(folder / "instances", started.prefix, 0).add(CommitAbortedError.exit_code)
    try:
        started.start()
        yield started
    finally:
        started.stop()
        delete_topics(kafka, started.prefix)


@pytest.mark.kafka
class TestLive:
    @pytest.mark.parametrize("expr", PANELS)
    def test_a_panel_has_data(self, live, expr):
        if any(name.startswith(NOT_LIVE) for name in promql.names_in(expr)):
            assert isinstance(shows(live.watching.asked, expr), bool)  # asked without an error
            return
        until(lambda: shows(live.watching.asked, expr), expr, 60)

    def test_every_rule_is_evaluated_and_nothing_is_said_of_any(self, live):
        def states():
            groups = live.watching.asked.get("rules", {})["groups"]
            return {rule["name"]: rule for group in groups for rule in group["rules"]}

        names = {rule.get("alert") or rule["record"] for rule in promql.rules()}
        until(lambda: all(rule["health"] != "unknown" for rule in states().values()), "rules", 60)
        assert set(states()) == names
        wrong = {n: r.get("lastError") for n, r in states().items() if r["health"] != "ok"}
        assert wrong == {}

    def test_no_alert_fires_of_a_healthy_worker(self, live):
        until(lambda: shows(live.watching.asked, "forecart_ready == 1"), "ready", 60)
        assert not shows(live.watching.asked, 'ALERTS{alertstate="firing"}')

    def test_the_worker_tells_of_the_failure_before(self, live):
        asked = live.watching.asked
        until(lambda: shows(asked, "forecart_ready"), "a scrape", 60)
        assert shows(asked, 'forecart_stops_total{code="17"} == 1')
        assert shows(asked, 'forecart_transactions_total{outcome="aborted"} == 1')

    def test_the_worker_s_state_and_lag_are_told(self, live):
        asked = live.watching.asked
        until(lambda: shows(asked, 'forecart_worker_state{state="running"} == 1'), "running", 60)
        until(lambda: shows(asked, "max(forecart_consumer_lag_records) > 0"), "a lag", 60)
        until(lambda: shows(asked, "max(forecart_consumer_lag_seconds) > 0"), "its age", 60)
        assert not shows(asked, "max(forecart_consumer_lag_seconds) > 30")

    @pytest.mark.parametrize("name", ASKING)
    def test_the_first_command_of_a_runbook_works(self, live, name):
        """Those that ask the worker itself; one that finds nothing is a finding of the runbook."""
        command = ASKING[name].replace("127.0.0.1:6066", f"127.0.0.1:{live.port}")
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr == ""
        assert done.returncode in {0, 1}
        if name.startswith("LatencyBurns"):
            assert re.fullmatch(r"(\w+ +\d+ %\n){8}", done.stdout), done.stdout
        if name == "MetricsAbsent":
            assert done.stdout.rstrip().endswith(" 1.0")

    def test_promtool_has_nothing_to_say_of_metrics(self, live):
        done = run("promtool", "check", "metrics", given=live.metrics())
        assert done.returncode == 0, done.stdout + done.stderr

    def test_when_nothing_comes_nothing_waits(self, live):
        """Last of these: it ends the load. A lag that stays would be a stalled consumer's."""
        live.stop_load()
        asked = live.watching.asked
        for name in ("forecart_consumer_lag_records", "forecart_events_in_flight"):
            until(lambda name=name: shows(asked, f"sum({name}) == 0"), name, 60)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Watching, float]]:
    """An hour of some hours ago, put into the blocks of a Prometheus before it starts."""
    folder = tmp_path_factory.mktemp("past")
    start = int(time.time()) - 5 * 3600
    (folder / "incident").write_text(incident.text(start))
    watching = Watching(folder, ["127.0.0.1:9"])
    done = run(
        "promtool", "tsdb", "create-blocks-from", "openmetrics",
        folder / "incident", watching.data,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    try:
        watching.start()
        yield watching, start + 3500.0
    finally:
        watching.stop()


class TestIncident:
    @pytest.mark.parametrize("expr", PANELS)
    def test_a_panel_has_data(self, past, expr):
        watching, at = past
        if "up{" in expr or expr.startswith("count(ALERTS"):
            assert shows(watching.asked, expr, at)  # a number, also when there is none
            return
        assert shows(watching.asked, expr, at), expr

    def test_every_series_of_the_table_is_in_it(self, past):
        watching, at = past
        missing = [name for name in promql.series() if not shows(watching.asked, name, at)]
        assert missing == []
