"""`forecart`: names of commands. A command is `stream.commands.NAME:command`, see lazy_group.py."""

import sys
from typing import Final

import click

from stream.lazy_group import LazyGroup

COMMANDS: Final = {
    "worker": "Run a worker: events in, predictions and alerts out.",
    "demo": "Everything at once, live in the terminal.",
    "simulate": "Publish the events of a simulated shop.",
    "replay": "Publish the events of a file.",
    "doctor": "Say what is wrong, and how to mend it.",
    "topics": "Create or describe the topics.",
    "tail": "Show predictions or alerts as they come.",
    "state": "Show what is kept of one user.",
    "capacity": "Say what a load takes: partitions, workers, memory, disk.",
    "audit": "Check that every input event is accounted for.",
    "explain": "Show which events made a prediction what it is.",
    "model": "Show, check, compare bundles; say which one serves.",
    "dlq": "List, show or replay dead letters.",
    "kafka": "The embedded Apache Kafka: up, down, status.",
}


@click.group(
    cls=LazyGroup,
    package="stream.commands",
    names=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="forecart")
def group() -> None:
    """Predict, in real time, what a shop's users do next.

    Example: forecart demo
    """


def main() -> None:
    """Entry point of the `forecart` command."""
    sys.exit(group())
