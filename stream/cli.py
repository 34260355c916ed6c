"""`forecart`: names of commands and where they live. A command's module is imported when it is used."""

import importlib
import sys

import click

COMMANDS = {
    "worker": "Run a worker: events in, predictions and alerts out.",
    "demo": "Everything at once, live in the terminal.",
    "simulate": "Publish the events of a simulated shop.",
    "replay": "Publish the events of a file.",
    "topics": "Create or describe the topics.",
    "tail": "Show predictions or alerts as they come.",
    "state": "Show what is kept of one user.",
    "audit": "Check that every input event is accounted for.",
    "dlq": "List, show or replay dead letters.",
    "kafka": "The embedded Apache Kafka: up, down, status.",
}


class LazyGroup(click.Group):
    """A group whose commands are `stream.commands.NAME:command`, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the commands in their order above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"stream.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="forecart")
def group() -> None:
    """Predict, in real time, what a shop's users do next."""


def main() -> None:
    """Entry point of the `forecart` command."""
    sys.exit(group())
