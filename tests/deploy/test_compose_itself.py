"""What the real Compose says of docker-compose.yml, and hadolint of the Dockerfile.

No engine runs here: nothing is built or started.
"""

import json

import pytest

from tests.deploy.from_pypi import HADOLINT, compose, from_pypi

pytestmark = pytest.mark.operations
ALWAYS = {"kafka", "topics", "prometheus", "grafana"}


@pytest.mark.parametrize(
    ("profiles", "added"),
    [
        ((), set()),
        (("cpu",), {"worker"}),
        (("gpu",), {"worker-gpu"}),
        (("cpu", "demo"), {"worker", "simulator"}),
        (("gpu", "demo"), {"worker-gpu", "simulator"}),
    ],
)
def test_compose_accepts_the_profiles(profiles, added):
    words = [word for profile in profiles for word in ("--profile", profile)]
    done = compose(*words, "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    services = json.loads(done.stdout)["services"]
    assert set(services) == ALWAYS | added
    for name, service in services.items():
        resources = service["deploy"]["resources"]
        assert {"cpus", "memory", "pids"} <= set(resources["limits"]), name
        devices = resources.get("reservations", {}).get("devices", [])
        assert [d["capabilities"] for d in devices] == ([["gpu"]] if name == "worker-gpu" else [])
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1"


def test_compose_refuses_a_broken_file(tmp_path):
    broken = tmp_path / "docker-compose.yml"
    broken.write_text("services: {kafka: {image: x, no_such_key: 1}}")
    assert compose("--file", str(broken), "config", "-q").returncode != 0


def test_hadolint_accepts_the_dockerfile():
    done = from_pypi(HADOLINT, "hadolint", "deploy/Dockerfile")
    assert done.returncode == 0, done.stdout + done.stderr
