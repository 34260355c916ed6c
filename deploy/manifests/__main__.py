"""`python -m deploy.manifests`: topics and alert rules as Kubernetes objects; --check compares.

Rules of the room: nothing is decided here. Topics are the table's, rules the files' of
deploy/prometheus/rules; numbers are the settings' of deploy/kubernetes/base.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from deploy.written import bring_up_to_date
from stream.settings import Settings, load
from stream.wire.topics import TABLE

DEPLOY: Final = Path(__file__).parents[1]
KUBERNETES: Final = DEPLOY / "kubernetes"
SETTINGS: Final = KUBERNETES / "base" / "settings.env"
RULES: Final = DEPLOY / "prometheus" / "rules"
WRITTEN: Final = "# Written by `python -m deploy.manifests`.\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or say which differ."""
    parser = argparse.ArgumentParser(prog="python -m deploy.manifests", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    options = parser.parse_args(arguments)
    made = {
        KUBERNETES / "overlays" / "strimzi-topics" / "topics.yaml": topics(settings()),
        KUBERNETES / "components" / "monitoring" / "rules.yaml": rules(),
    }
    return bring_up_to_date(made, parser.prog, check=options.check)


def settings() -> Settings:
    """Read what the base sets."""
    lines = [line for line in SETTINGS.read_text().splitlines() if line and line[0] != "#"]
    return load({}, dict(line.split("=", 1) for line in lines))


def topics(given: Settings) -> str:
    """Give a KafkaTopic for each topic of the table."""
    return WRITTEN + "".join(
        f"""\
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaTopic
metadata:
  name: {topic.name}
  labels:
    strimzi.io/cluster: shop
spec:
  topicName: {given.topic(topic.name)}
  partitions: {given.partitions}
  replicas: {given.replication}
  config:
"""
        + "".join(
            f'    {name}: "{value}"\n' for name, value in topic.configs(given.replication).items()
        )
        for topic in TABLE
    )


def rules() -> str:
    """Give a PrometheusRule that holds the groups of all rule files."""
    head = f"""\
{WRITTEN}apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: forecart
spec:
  groups:
"""
    groups = [path.read_text().partition("\ngroups:\n")[2] for path in sorted(RULES.glob("*.yml"))]
    lines = [line for text in groups for line in text.splitlines()]
    return head + "".join(f"  {line}\n" if line else "\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
