"""What is deployed agrees with the code, and each kind of fault that is put in is found."""

import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from stream.shell.health import Health
from stream.shell.live import Live
from stream.shell.metrics import Metrics
from stream.shell.web import Web
from tests.deploy import agreement

ROOT = Path(__file__).parents[2]
COPIED = {"deploy", "docker-compose.yml", ".dockerignore"}


def test_everything_that_is_named_exists():
    assert agreement.faults(ROOT) == []


def test_pages_that_are_asked_for_are_answered():
    """By the worker's own web server: probes of Compose and Kubernetes, what Prometheus reads."""
    tree = agreement.Tree(ROOT)
    probes = [str(s.get("healthcheck", "")) for n, s in tree.services.items() if "worker" in n]
    asked = {path for probe in probes for path in re.findall(r":6066(/\w+)", probe)}
    asked |= {
        value
        for path, document in tree.documents
        if path.startswith(agreement.KUBERNETES)
        for key, value in agreement.walk(document)
        if key == "path" and path.endswith(("statefulset.yaml", "podmonitor.yaml"))
    }
    assert asked == {"/healthz", "/readyz", "/metrics"}
    metrics, health = Metrics(2), Health()
    web = Web("127.0.0.1", 0, metrics, health, Live(metrics, health, {}, users=False))
    address = web.start()
    try:
        assert {path: status(address + path) for path in (*asked, "/healthy")} == {
            "/healthz": 200, "/readyz": 503, "/metrics": 200, "/healthy": 404,
        }  # fmt: skip
    finally:
        web.stop()


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 our own server
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def copy(tmp_path):
    """The repository with files of its own where faults are put in."""
    for path in ROOT.iterdir():
        if path.name not in COPIED:
            (tmp_path / path.name).symlink_to(path)
    shutil.copytree(
        ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in COPIED - {"deploy"}:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_copy_is_without_fault(copy):
    assert agreement.faults(copy) == []


COMPOSE = "docker-compose.yml"
ALERTS = "deploy/prometheus/rules/alerts.yml"
PROMETHEUS = "deploy/prometheus/prometheus.yml"
DATASOURCE = "deploy/grafana/provisioning/datasources/prometheus.yml"
PROVIDER = "deploy/grafana/provisioning/dashboards/forecart.yml"
BASE = "deploy/kubernetes/base"
SECURED = "deploy/kubernetes/components/secured/settings.env"
TOPICS = "deploy/kubernetes/overlays/strimzi-topics/topics.yaml"
KEDA = "deploy/kubernetes/components/keda/scaledobject.yaml"
SEEDED = [
    # A setting, a metric, a topic, a path that do not exist.
    (COMPOSE, "FORECART_GUARANTEE:", "FORECART_PROMISE:", "no setting FORECART_PROMISE"),
    (
        ALERTS,
        "forecart_assigned_partitions",
        "forecart_given_partitions",
        "no metric forecart_given",
    ),
    ("deploy/prometheus/tests/flow.yml", 'topic="clicks"', 'topic="clacks"', "no topic clacks"),
    (
        COMPOSE,
        "config.file=/etc/prometheus/prometheus.yml",
        "config.file=/etc/prometheus/p.yml",
        "p.yml",
    ),
    # And further ways to be wrong.
    (COMPOSE, "${FORECART_DEMO_RATE", "${FORECART_DEMO_SPEED", "no setting FORECART_DEMO_SPEED"),
    (
        COMPOSE,
        "./deploy/grafana/dashboards:",
        "./deploy/grafana/pages:",
        "mounts ./deploy/grafana/pages",
    ),
    (COMPOSE, "forecart-overview.json", "forecart-home.json", "reads /var/lib/grafana/dashboards/"),
    (COMPOSE, "apache/kafka:4.3.1", "apache/kafka:latest", "is not pinned"),
    (COMPOSE, "6066-6069}:6066", "6066-6069}:6067", "publishes {6067}"),
    (COMPOSE, "BROKER: kafka:9092", "BROKER: kafka:9095", "kafka does not listen on 9095"),
    (COMPOSE, "127.0.0.1:3000/api", "127.0.0.1:3001/api", "grafana is probed on 3001"),
    ("deploy/Dockerfile", "EXPOSE 6066", "EXPOSE 6067", "exposes ['6067']"),
    ("deploy/Dockerfile", "COPY export export", "COPY exports exports", "exports is not there"),
    ("deploy/Dockerfile", ":3.11.14-slim", ":3.11-slim", "is not pinned"),
    (PROMETHEUS, "port: 6066", "port: 6067", "scrapes 6067"),
    (PROMETHEUS, "[worker, worker-gpu]", "[worker, wrker-gpu]", "no service wrker-gpu"),
    (DATASOURCE, "prometheus:9090", "prometheus:9091", "prometheus does not listen on 9091"),
    (
        PROVIDER,
        "grafana/dashboards\n",
        "grafana/pages\n",
        "no dashboards in /var/lib/grafana/pages",
    ),
    (ALERTS, "deploy/runbooks/LagHigh.md", "deploy/runbooks/LagLow.md", "no file deploy/runbooks"),
    (f"{BASE}/settings.env", "USERS_MAX", "PEOPLE_MAX", "no setting FORECART_PEOPLE_MAX"),
    (f"{BASE}/settings.env", ":9092", ":9094", "is not let out"),
    (
        f"{BASE}/statefulset.yaml",
        "containerPort: 6066",
        "containerPort: 6067",
        "containerPort 6067",
    ),
    (f"{BASE}/networkpolicy.yaml", "port: 6066", "port: 6067", "lets in to 6067"),
    (f"{BASE}/kustomization.yaml", "- service.yaml", "- services.yaml", "no services.yaml"),
    (KEDA, "forecart_consumer_lag_records", "forecart_backlog", "no metric forecart_backlog"),
    (TOPICS, "topicName: clicks", "topicName: clacks", "no topic clacks"),
    (SECURED, "secrets/forecart/ca.crt", "secrets/kafka/ca.crt", "where nothing is mounted"),
    (SECURED, "PASSWORD_FILE=", "PASSWORD=", "FORECART_SASL_PASSWORD in plain text"),
]


@pytest.mark.parametrize(("path", "before", "after", "said"), SEEDED)
def test_a_fault_is_found(copy, path, before, after, said):
    text = (copy / path).read_text()
    assert before in text
    (copy / path).write_text(text.replace(before, after, 1))
    found = agreement.faults(copy)
    assert any(said in fault for fault in found), found
