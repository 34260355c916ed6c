"""Does what is deployed name only what exists? Rules over deploy/ and docker-compose.yml.

Rules of the room: a rule takes the tree that holds the files and says what is wrong in them; what
exists is asked of the code itself. `faults` asks them all. Queries are held more closely, with
their labels and values, by tests/ops/promql.py.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from stream.security import SECRETS
from stream.settings import ENV_PREFIX, OTHERS, Settings
from stream.wire.topics import TABLE
from tests.ops import promql

TEXTS = {".yml", ".yaml", ".json", ".md", ".env", ""}  # "": the Dockerfile
WEB_PORT = Settings().web_port
TOPICS = {topic.name for topic in TABLE}
KUBERNETES = "deploy/kubernetes/"
LISTENING = ("statefulset.yaml", "service.yaml")
# Where a container's file lies in the tree is known of what is mounted; of these it need not be.
CONTAINERS_OWN = ("/opt/kafka/bin/",)


@dataclass(frozen=True)
class Tree:
    """A repository, or a copy of it in which something was changed."""

    root: Path

    @cached_property
    def texts(self) -> dict[str, str]:
        """What is deployed, by path."""
        paths = [self.root / "docker-compose.yml", *sorted((self.root / "deploy").rglob("*"))]
        return {
            str(path.relative_to(self.root)): path.read_text()
            for path in paths
            if path.is_file() and path.suffix in TEXTS and path.name != ".gitignore"
        }

    @cached_property
    def documents(self) -> list[tuple[str, Any]]:
        """Each YAML document with its path."""
        return [
            (path, document)
            for path, text in self.texts.items()
            if path.endswith((".yml", ".yaml"))
            for document in parsed(text)
        ]

    @cached_property
    def compose(self) -> dict[str, Any]:
        return self.document("docker-compose.yml")

    def document(self, path: str) -> dict[str, Any]:
        (only,) = parsed(self.texts[path])
        return dict(only)

    @cached_property
    def services(self) -> dict[str, dict[str, Any]]:
        return dict(self.compose["services"])

    def mounts(self, name: str) -> dict[str, str]:
        """Folder in the container -> folder in the tree, of what a service mounts from there."""
        parts = [volume.split(":") for volume in self.services[name].get("volumes", [])]
        return {part[1]: part[0] for part in parts if part[0].startswith("./")}


@cache
def parsed(text: str) -> list[Any]:
    """Give the documents of a YAML file; nobody changes them."""
    return list(yaml.load_all(text, yaml.CSafeLoader))


def walk(node: Any) -> Iterator[tuple[str, Any]]:
    """Give every key with its value, however deep; items of a list have the list's key."""
    if isinstance(node, dict):
        for key, value in node.items():
            for item in value if isinstance(value, list) else [value]:
                yield str(key), item
                yield from walk(item)


def settings(tree: Tree) -> Iterator[str]:
    """FORECART_... is a setting, or a variable of the compose file that the docs explain."""
    known = {ENV_PREFIX + field.name.upper() for field in fields(Settings)}
    known.add(ENV_PREFIX + "SETTINGS")
    explained = set(re.findall(r"`(FORECART_\w+)`", (tree.root / "docs/operations.md").read_text()))
    explained &= {ENV_PREFIX + name for name in OTHERS}  # else each command would warn of it
    for path, text in tree.texts.items():
        own = set(re.findall(r"\$\{(FORECART_\w+)", text)) & explained
        for name in sorted(set(re.findall(r"\bFORECART_\w+", text)) - known - own):
            yield f"{path}: no setting {name}"


def metrics(tree: Tree) -> Iterator[str]:
    """forecart_... is a metric or a recording; `forecart_gpu_*` stands for several."""
    known = set(promql.series()) | {promql.PREFIX + metric.name for metric in promql.METRICS}
    known |= {group["name"] for group in promql.rule_groups()}
    for path, text in tree.texts.items():
        for name in sorted(set(re.findall(r"(?:\w+:)?\bforecart_\w+(?::\w+)?", text)) - known):
            if not (name.endswith("_") and any(metric.startswith(name) for metric in known)):
                yield f"{path}: no metric {name}"


def topics(tree: Tree) -> Iterator[str]:
    """Topics in queries, commands and manifests are in the table."""
    for path, text in tree.texts.items():
        said = re.findall(r'\btopic=~?\\?"([\w|-]+)\\?"', text)
        said += re.findall(r"--topic[= ]([\w-]+)", text)
        names = {name for words in said for name in words.split("|")}
        yield from (f"{path}: no topic {name}" for name in sorted(names - TOPICS))
    for path, document in tree.documents:
        said = [value for key, value in walk(document) if key in {"topic", "topicName"}]
        names = {value for value in said if isinstance(value, str)} - {"$topic"}
        if isinstance(document, dict) and document.get("kind") == "KafkaTopic":
            names.add(document["metadata"]["name"])
        yield from (f"{path}: no topic {name}" for name in sorted(names - TOPICS))


def files(tree: Tree) -> Iterator[str]:
    """Files of the repository that are named, mounted, copied or put together are there."""
    for path, text in tree.texts.items():
        for name in re.findall(r"(?<![\w/.-])(?:deploy|docs|stream|tests|tools)/[\w./*-]+", text):
            if not any(tree.root.glob(name.rstrip("./").replace("NAME", "*"))):
                yield f"{path}: no file {name}"
    for name in tree.services:
        for folder in tree.mounts(name).values():
            if not (tree.root / folder).is_dir():
                yield f"docker-compose.yml: {name} mounts {folder}, which is not there"
    ignore = (tree.root / ".dockerignore").read_text().splitlines()
    dockerfile = tree.texts["deploy/Dockerfile"]
    for words in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE):
        for name in words.split():
            if not (tree.root / name).exists() or f"!{name}" not in ignore:
                yield f"deploy/Dockerfile: {name} is not there, or in .dockerignore"
    for path, document in tree.documents:
        if not path.endswith("kustomization.yaml"):
            continue
        folder = (tree.root / path).parent
        parts = [value for key, value in walk(document) if key in {"resources", "components"}]
        parts += [value for key, value in walk(document) if key in {"files", "envs"}]
        for part in parts:
            if not str(part).startswith("/") and not (folder / str(part)).exists():
                yield f"{path}: no {part}"


def container_paths(tree: Tree) -> Iterator[str]:
    """Files that a container is told to read are in the tree, under what is mounted there."""
    for name, service in tree.services.items():
        mounts = tree.mounts(name)
        said = [*service.get("command", []), *service.get("environment", {}).values()]
        for path in re.findall(r"(?<![\w:/])/[\w./-]+\.\w+", "\n".join(map(str, said))):
            found = [
                tree.root / folder / path.removeprefix(f"{at}/")
                for at, folder in mounts.items()
                if path.startswith(f"{at}/")
            ]
            if not path.startswith(CONTAINERS_OWN) and not any(map(Path.is_file, found)):
                yield f"docker-compose.yml: {name} reads {path}, which nothing mounts"
    for path, document in tree.documents:
        if path.startswith("deploy/grafana/provisioning/dashboards/"):
            for provider in document["providers"]:
                folder = tree.mounts("grafana").get(provider["options"]["path"], "nowhere")
                if not list((tree.root / folder).glob("*.json")):
                    yield f"{path}: no dashboards in {provider['options']['path']}"


def ports(tree: Tree) -> Iterator[str]:
    """Who is asked at an address listens there."""
    listens = {name: _ports(service) for name, service in tree.services.items()}
    for path in ("docker-compose.yml", "deploy/grafana/provisioning/datasources/prometheus.yml"):
        for host, port in re.findall(r"\b([a-z][a-z-]+):(\d{4,5})\b", tree.texts[path]):
            if host in listens and int(port) not in listens[host]:
                yield f"{path}: {host} does not listen on {port}"
    for name, service in tree.services.items():
        for port in (
            re.findall(r"(?:localhost|127\.0\.0\.1):(\d+)", str(service["healthcheck"]))
            if ("healthcheck" in service)
            else ()
        ):
            if int(port) not in listens[name]:
                yield f"docker-compose.yml: {name} is probed on {port}"
        if name.startswith("worker") and listens[name] != {WEB_PORT}:
            yield f"docker-compose.yml: {name} publishes {listens[name]}"
    found = re.findall(r"^EXPOSE (\d+)$", tree.texts["deploy/Dockerfile"], re.MULTILINE)
    if found != [str(WEB_PORT)]:
        yield f"deploy/Dockerfile: exposes {found}, not {WEB_PORT}"
    for job in tree.document("deploy/prometheus/prometheus.yml")["scrape_configs"]:
        for target in job["dns_sd_configs"]:
            if target["port"] != WEB_PORT:
                yield f"deploy/prometheus/prometheus.yml: scrapes {target['port']}"
            for host in set(target["names"]) - set(listens):
                yield f"deploy/prometheus/prometheus.yml: no service {host}"


def kubernetes(tree: Tree) -> Iterator[str]:
    """Pods listen and are let in where the worker listens; files of secrets are mounted."""
    broker_ports, mounted, told = set(), set(), []
    for path, document in tree.documents:
        if not path.startswith(KUBERNETES):
            continue
        for key, value in walk(document):
            if key in {"port", "targetPort", "containerPort"} and path.endswith(LISTENING):
                if value not in {WEB_PORT, "http"}:
                    yield f"{path}: {key} {value}, not {WEB_PORT}"
            elif key == "egress":
                broker_ports |= {port["port"] for port in value["ports"]}
            elif key == "ingress":
                wrong = {port["port"] for port in value["ports"]} - {WEB_PORT}
                yield from (f"{path}: lets in to {port}" for port in wrong)
            elif key == "mountPath":
                mounted.add(value)
            elif key == "patch":
                mounted |= set(re.findall(r"mountPath: ([\w/.-]+)", value))
    for path, text in tree.texts.items():
        if path.startswith(KUBERNETES) and path.endswith(".env"):
            told += [(path, *line.split("=", 1)) for line in text.splitlines() if "=" in line]
    for path, name, value in told:
        if name.endswith("_FILE") and str(Path(value).parent) not in mounted:
            yield f"{path}: {name} is {value}, where nothing is mounted"
        if name == ENV_PREFIX + "BROKER" and int(value.rpartition(":")[2]) not in broker_ports:
            yield f"{path}: {value} is not let out"
        if name == ENV_PREFIX + "WEB_PORT" and value != str(WEB_PORT):
            yield f"{path}: listens on {value}, not {WEB_PORT}"


def secrets(tree: Tree) -> Iterator[str]:
    """No password or key stands in a file."""
    names = "|".join(ENV_PREFIX + name.upper() for name in sorted(SECRETS))
    for path, text in tree.texts.items():
        yield from (f"{path}: {name} in plain text" for name in re.findall(rf"({names})[=:]", text))
    for path, document in tree.documents:
        if isinstance(document, dict) and document.get("kind") == "Secret":
            yield f"{path}: a secret in plain text"


def _ports(service: dict[str, Any]) -> set[int]:
    """Give the ports on which a service listens: those it publishes, and Kafka's listeners."""
    found = {int(str(port).rpartition(":")[2]) for port in service.get("ports", [])}
    listeners = str(service.get("environment", {}).get("KAFKA_LISTENERS", ""))
    return found | {int(port) for port in re.findall(r":(\d+)", listeners)}


def images(tree: Tree) -> Iterator[str]:
    """Every image that is not built here has an exact version; a digest may follow."""
    said = [("docker-compose.yml", str(s["image"])) for s in tree.services.values()]
    base = re.findall(r"^FROM (\S+:\S+)", tree.texts["deploy/Dockerfile"], re.MULTILINE)
    said += [("deploy/Dockerfile", image) for image in base]
    said += [
        (path, str(value))
        for path, document in tree.documents
        if path.startswith(KUBERNETES)
        for key, value in walk(document)
        if key == "image" and isinstance(value, str)
    ]
    exact = r"forecart:(cpu|gpu)|\S+:v?\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?"
    for path, image in said:
        if not re.fullmatch(exact, image):
            yield f"{path}: {image} is not pinned"


RULES = (
    settings, metrics, topics, files, container_paths, ports, images, kubernetes, secrets,
)  # fmt: skip


def faults(root: Path) -> list[str]:
    """Say what is named and does not exist."""
    tree = Tree(root)
    return [fault for rule in RULES for fault in rule(tree)]
