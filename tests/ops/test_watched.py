"""A real Prometheus: of a real worker under load, and of an hour in which all went wrong.

Each panel of each dashboard is asked for; one that shows nothing asks for the wrong thing. Each
rule is evaluated, and Prometheus finds nothing to say about any.
"""

import json
import math
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.dashboards.ask import Prometheus, filled
from stream.flow.stops import CommitAbortedError
from stream.local.publish import Pace, Publisher, run_paced
from stream.local.shop import Shop
from stream.local.stop_counts import StopCounts
from stream.wire.topics import INPUTS
from tests.deployment import Deployment, deployment_on, until
from tests.kafka_tools import delete_topics, unique_prefix
from tests.ops import incident, promql
from tests.ops.installed import run
from tests.ops.watching import RATE_INTERVAL, Watching, free_port

PAGES = sorted((Path(__file__).parents[2] / "deploy/grafana/dashboards").glob("*.json"))
PANELS = [
    pytest.param(target["expr"], id=f"{page.stem}: {panel['title']} {target['refId']}")
    for page in PAGES
    for panel in json.loads(page.read_text())["panels"]
    for target in panel.get("targets", [])
]
RATE = 300.0  # events/s
# What a healthy worker on the CPU, without a shadow and in its first minute, has nothing of.
NOT_LIVE = (
    "forecart_gpu_", "forecart_shadow_", "forecart_promotion_", "ALERTS", "forecart_stops_total",
)  # fmt: skip
pytestmark = [pytest.mark.operations, pytest.mark.timeout(240)]


def shows(asked: Prometheus, expr: str, at: float | None = None) -> bool:
    """Whether an expression gives a number at a moment (default: now)."""
    found = asked.now(filled(expr, RATE_INTERVAL if at is None else "1m"), at)
    return any(math.isfinite(value) for series in found for _, value in series.points)


class Live:
    """A worker under load, and a Prometheus that scrapes it."""

    def __init__(self, kafka: str, folder: Path) -> None:
        self.prefix = unique_prefix()
        self.port = free_port()
        self.deployment: Deployment = deployment_on(
            kafka, self.prefix, folder, web_port=self.port, batch_events_max=8192
        )
        # A failure of the process before: told of by this one.
        group = self.deployment.settings.group
        StopCounts(folder / "instances", group, 0).add(CommitAbortedError.exit_code)
        self.watching = Watching(folder, [f"127.0.0.1:{self.port}"])
        self._stop = threading.Event()
        self._load = threading.Thread(target=self._publish)

    def start(self) -> None:
        self.deployment.start()
        self.watching.start()
        self.deployment.worker().wait_said(" running\n", 180)  # a first one compiles
        self._load.start()

    def _publish(self) -> None:
        settings = self.deployment.settings
        publisher = Publisher(settings.broker, [settings.topic(name) for name in INPUTS])
        try:
            shop = Shop(11, users=300, items=200, partitions=settings.partitions)
            run_paced(publisher, shop.events(), Pace(rate=RATE), stop=self._stop)
        finally:
            publisher.close()

    def metrics(self) -> str:
        address = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def stop(self) -> None:
        self._stop.set()
        if self._load.is_alive():
            self._load.join(30)
        self.watching.stop()
        self.deployment.stop()


@pytest.fixture(scope="module")
def live(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    started = Live(kafka, tmp_path_factory.mktemp("live"))
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

    def test_promtool_has_nothing_to_say_of_metrics(self, live):
        done = run("promtool", "check", "metrics", given=live.metrics())
        assert done.returncode == 0, done.stdout + done.stderr


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
