"""Kustomize puts the overlays together, and Kubernetes' own schemas take what comes out.

No cluster is at hand: nothing is applied. Kinds that operators bring have no schema there; their
names and numbers are held by test_agreement.py and test_manifests.py.
"""

from pathlib import Path

import pytest
import yaml

from tests.deploy.from_pypi import KUBERNETES_VALIDATE, from_pypi
from tests.ops.installed import run

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
FOREIGN = {"PodMonitor", "PrometheusRule", "ScaledObject", "KafkaTopic"}  # brought by operators
pytestmark = pytest.mark.operations


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Overlay -> the file that kustomize makes of it."""
    folder = tmp_path_factory.mktemp("built")
    for name in OVERLAYS:
        done = run("kubectl", "kustomize", KUBERNETES / "overlays" / name)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        (folder / f"{name}.yaml").write_text(done.stdout)
    return folder


def objects(path: Path) -> dict[str, dict]:
    """What an overlay holds, one of each kind by its kind."""
    return {made["kind"]: made for made in yaml.load_all(path.read_text(), yaml.CSafeLoader)}


def test_what_comes_out_is_what_kubernetes_takes(built):
    files = [str(built / f"{name}.yaml") for name in OVERLAYS]
    done = from_pypi(KUBERNETES_VALIDATE, "kubernetes-validate", "--strict", *files)
    assert done.returncode == 0, done.stdout + done.stderr
    said = (done.stdout + done.stderr).splitlines()
    unknown = {line.partition("for kind ")[2].split()[0] for line in said if "find schema" in line}
    assert unknown == FOREIGN
    assert sum("passed" in line for line in said) >= 22


def test_a_field_that_does_not_exist_is_refused(built, tmp_path):
    text = (built / "cpu.yaml").read_text()
    (tmp_path / "wrong.yaml").write_text(text.replace("readinessProbe:", "readynessProbe:"))
    done = from_pypi(
        KUBERNETES_VALIDATE, "kubernetes-validate", "--strict", str(tmp_path / "wrong.yaml")
    )
    assert done.returncode != 0


@pytest.mark.parametrize("name", ["cpu", "gpu", "production"])
def test_parts_find_each_other(built, name):
    made = objects(built / f"{name}.yaml")
    worker = made["StatefulSet"]["spec"]
    labels = worker["template"]["metadata"]["labels"]
    for selector in (
        worker["selector"]["matchLabels"],
        made["Service"]["spec"]["selector"],
        made["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        made.get("PodMonitor", {"spec": {"selector": {"matchLabels": {}}}})["spec"]["selector"][
            "matchLabels"
        ],
    ):
        assert selector.items() <= labels.items()
    assert worker["serviceName"] == made["Service"]["metadata"]["name"]
    (container,) = worker["template"]["spec"]["containers"]
    (source,) = container["envFrom"]
    text = (built / f"{name}.yaml").read_text()
    assert f"\n  name: {source['configMapRef']['name']}\n" in text
    names = [volume["name"] for volume in worker["template"]["spec"]["volumes"]]
    names += [claim["metadata"]["name"] for claim in worker["volumeClaimTemplates"]]
    assert {mount["name"] for mount in container["volumeMounts"]} == set(names)


def test_overlays_add_what_they_say(built):
    gpu = objects(built / "gpu.yaml")
    (container,) = gpu["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "forecart:gpu"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "FORECART_PROVIDER: require" in (built / "gpu.yaml").read_text()
    production = objects(built / "production.yaml")
    assert "replicas" not in production["StatefulSet"]["spec"]
    assert {"PodMonitor", "PrometheusRule", "ScaledObject"} <= set(production)
    assert "FORECART_SECURITY_PROTOCOL: SASL_SSL" in (built / "production.yaml").read_text()
    assert "Secret" not in production
