"""docker-compose.yml and the Dockerfile: services are held down, settings and commands are ours.

That what they name exists is held by test_agreement.py, that Compose takes them by
test_compose_itself.py.
"""

import base64
import os
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pytest
import yaml

from stream import settings
from stream.cli import group
from stream.local.broker_files import BROKER_SETTINGS
from stream.local.jars import KAFKA_VERSION
from stream.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("forecart:")]
WORKERS = [name for name in OURS if name.startswith("worker")]
ONCE = {"topics", "simulator"}
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
# What only a container sets: where it stands, and its listeners.
NODE_SETTINGS = {
    "node.id", "process.roles", "controller.quorum.voters", "listeners", "advertised.listeners",
    "listener.security.protocol.map", "controller.listener.names", "log.dirs",
    "inter.broker.listener.name",
}  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert service["user"].partition(":")[0] not in {"", "0", "root"}
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONCE))
def test_what_stays_up_has_a_health_check_and_time_to_stop(name):
    check = SERVICES[name]["healthcheck"]
    assert {"test", "interval", "timeout", "retries", "start_period", "start_interval"} <= set(
        check
    )
    assert "stop_grace_period" in SERVICES[name]


@pytest.mark.parametrize("name", OURS)
def test_the_environment_is_settings_that_the_code_accepts(name):
    environment = {
        key: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)
        for key, value in SERVICES[name]["environment"].items()
    }
    known = {settings.ENV_PREFIX + field.name.upper() for field in fields(Settings)}
    assert set(environment) <= known
    loaded = settings.load({}, environment)
    assert loaded.broker == "kafka:9092"
    provider = {"worker": "cpu", "worker-gpu": "require"}.get(name, Settings().provider)
    assert loaded.provider == provider


@pytest.mark.parametrize("name", WORKERS)
def test_the_worker_is_probed_where_it_listens(name):
    service = SERVICES[name]
    port = service["environment"]["FORECART_WEB_PORT"]
    assert f"http://127.0.0.1:{port}/readyz" in service["healthcheck"]["test"][-1]
    assert service["ports"][0].endswith(f":{port}")
    assert f"EXPOSE {port}\n" in DOCKERFILE


@pytest.mark.parametrize("name", OURS)
def test_commands_exist(name):
    command: click.Command = group
    words = list(SERVICES[name]["command"])
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"no command {words[0]!r} below {command.name!r}"
        command, words = found, words[1:]
    given = [re.sub(r"\$\{\w+:-(.*?)\}", r"\1", word) for word in words]
    command.make_parser(click.Context(command)).parse_args(given)  # raises on an unknown option


def test_kafka_is_the_version_that_everything_is_tested_with():
    image = SERVICES["kafka"]["image"].partition("@")[0]  # a digest may follow
    assert image == f"apache/kafka:{KAFKA_VERSION}"


def test_kafkas_settings_are_those_of_the_embedded_broker():
    given = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): value
        for key, value in SERVICES["kafka"]["environment"].items()
        if key.startswith("KAFKA_")
    }
    assert {name for name in given if name not in BROKER_SETTINGS} <= NODE_SETTINGS
    different = {
        name: (value, BROKER_SETTINGS[name])
        for name, value in given.items()
        if name not in NODE_SETTINGS and BROKER_SETTINGS[name] != value
    }
    assert different == {}
    cluster = SERVICES["kafka"]["environment"]["CLUSTER_ID"]
    assert len(base64.urlsafe_b64decode(cluster + "==")) == 16


def test_the_images_name_what_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    for name in OURS:
        assert SERVICES[name]["build"]["target"] in targets
        assert SERVICES[name]["image"] == f"forecart:{SERVICES[name]['build']['target']}"
    extras = set(re.findall(r"--extra (\S+)", DOCKERFILE))
    assert extras <= set(project["optional-dependencies"])
    assert re.search(r'^ENTRYPOINT \["forecart"\]$', DOCKERFILE, re.MULTILINE)
    assert "forecart" in project["scripts"]


def test_the_images_do_not_run_as_root_and_their_settings_exist():
    runtime = DOCKERFILE.partition(" AS runtime\n")[2]
    assert re.findall(r"^USER (\S+)$", runtime, re.MULTILINE) == ["10001:10001"]
    names = set(re.findall(r"\b(FORECART_\w+)", DOCKERFILE))
    assert names <= {settings.ENV_PREFIX + field.name.upper() for field in fields(Settings)}


@pytest.mark.parametrize("name", OURS)
def test_what_is_written_is_on_a_volume(name):
    targets = {volume.partition(":")[2] for volume in SERVICES[name]["volumes"]}
    written = set(re.findall(r"(?:STATE_DIR|CACHE_HOME|CACHE_DIR)=(\S+)", DOCKERFILE))
    assert written
    for folder in written:
        assert any(os.path.commonpath([folder, target]) == target for target in targets)
