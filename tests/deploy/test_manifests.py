"""deploy/kubernetes as it lies there: what stands elsewhere too, and what is asked of a pod."""

import ast
from pathlib import Path

import yaml

from deploy.manifests import __main__ as manifests
from stream.app import DRAIN_S
from stream.commands.capacity_plan import Load, memory_bytes
from stream.model.bundle import SHIPPED
from stream.model.shelf import manifest_in
from stream.settings import Settings, load
from tests.ops import promql

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
STATEFULSET = yaml.safe_load((KUBERNETES / "base/statefulset.yaml").read_text())["spec"]
POD = STATEFULSET["template"]["spec"]
(WORKER,) = POD["containers"]
SCALED = yaml.safe_load((KUBERNETES / "components/keda/scaledobject.yaml").read_text())["spec"]
GIVEN = manifests.settings()


def test_topics_and_rules_are_what_the_code_writes():
    assert manifests.main(["--check"]) == 0


def test_a_stale_file_is_noticed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(manifests, "RULES", tmp_path)
    assert manifests.main(["--check"]) == 1
    assert "rules.yaml" in capsys.readouterr().out


def test_all_groups_of_rules_are_there():
    made = yaml.safe_load(manifests.rules())
    assert made["spec"]["groups"] == list(promql.rule_groups())


def test_the_ordinal_is_the_instance_number():
    (instance,) = WORKER["env"]
    assert instance["name"] == "FORECART_INSTANCE"
    field = instance["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert POD["enableServiceLinks"] is False


def test_every_worker_has_a_partition():
    assert STATEFULSET["replicas"] <= GIVEN.partitions
    assert SCALED["maxReplicaCount"] == GIVEN.partitions
    assert SCALED["minReplicaCount"] == STATEFULSET["replicas"]


def test_scaling_asks_for_a_metric_of_the_job_that_is_scraped():
    (trigger,) = SCALED["triggers"]
    assert promql.faults(trigger["metadata"]["query"]) == []
    monitor = yaml.safe_load((KUBERNETES / "components/monitoring/podmonitor.yaml").read_text())
    label = monitor["spec"]["jobLabel"]
    base = yaml.safe_load((KUBERNETES / "base/kustomization.yaml").read_text())
    (labels,) = base["labels"]
    assert labels["pairs"][label] == "forecart"
    assert 'job="forecart"' in trigger["metadata"]["query"]


def test_a_pod_has_longer_to_go_than_a_worker_takes():
    assert POD["terminationGracePeriodSeconds"] > DRAIN_S
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in ("worker", "worker-gpu"):
        assert int(services[name]["stop_grace_period"].removesuffix("s")) > DRAIN_S


def test_probes_ask_for_what_is_meant():
    paths = {name: WORKER[name]["httpGet"]["path"] for name in WORKER if name.endswith("Probe")}
    assert paths == {
        "startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz",
    }  # fmt: skip


def test_a_pod_may_nothing():
    for path in ("base/statefulset.yaml", "components/topics-job/job.yaml"):
        pod = yaml.safe_load((KUBERNETES / path).read_text())["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001  # as in deploy/Dockerfile
        for container in pod["containers"]:
            held = container["securityContext"]
            assert held["readOnlyRootFilesystem"] is True
            assert held["allowPrivilegeEscalation"] is False
            assert held["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])


def test_memory_is_enough_for_as_many_users_as_are_let_in():
    """One worker with all partitions, each at its cap: the others are gone."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    environment = {
        name: str(value).rpartition(":-")[2].removesuffix("}")
        for name, value in compose["x-settings"].items()
    }
    for given, memory in (
        (GIVEN, WORKER["resources"]["limits"]["memory"]),
        (load({}, environment), compose["x-worker-limits"]["memory"].rpartition(":-")[2]),
    ):
        assert needed_bytes(given) <= bytes_of(memory.rstrip("}"))


def needed_bytes(given: Settings) -> int:
    users = given.partitions * given.users_max
    floats = manifest_in(SHIPPED).shapes.state
    full = Load(1.0, users, 200, floats, given.partitions, 0)
    return memory_bytes(full, given, given.partitions, given.partitions)


def bytes_of(text: str) -> int:
    number = text.rstrip("Gig")
    assert text != number
    return int(ast.literal_eval(number) * (1 << 30))
