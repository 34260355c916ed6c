"""`forecart topics`: bring the broker's topics in line with the contract, compare, name rights."""

import json
import shlex

import click

from stream.commands.options import bootstrap_of, with_settings
from stream.commands.terminal import write_table
from stream.settings import Settings
from stream.shell.admin import Difference, TopicAdmin
from stream.wire.rights import ROLES, rights_of
from stream.wire.topics import TABLE

REASSIGN = " (moving replicas is the work of kafka-reassign-partitions.sh)"


@click.group()
def command() -> None:
    """Create or describe the topics, or say which rights they take.

    Example: forecart topics apply --set partitions=8
    """


@command.command()
@with_settings
def apply(settings: Settings) -> None:
    """Create the topics that are missing and set right what can be altered.

    The number of partitions of a topic that exists is never changed: one that differs is refused,
    with the cure.

    Example: forecart topics apply --set partitions=8 --set replication=3
    """
    admin = TopicAdmin(bootstrap_of(settings), settings)
    done = admin.apply()
    for line in done:
        click.echo(line)
    replicas = [d for d in admin.differences() if d.what == "replication"]
    for difference in replicas:
        click.echo(_told(difference) + REASSIGN)
    click.echo(f"{len(TABLE)} topics, {len(done)} changes")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@with_settings
def describe(as_json: bool, settings: Settings) -> None:
    """Show each topic of the contract and where the broker differs; status 1 if it does.

    Example: forecart topics describe --broker localhost:9092
    """
    admin = TopicAdmin(bootstrap_of(settings), settings)
    found, differences = admin.find(), admin.differences()
    if as_json:
        click.echo(
            json.dumps(
                {
                    "topics": {
                        name: {"partitions": topic.partitions, "replication": topic.replication}
                        for name, topic in found.items()
                    },
                    "differences": [
                        {"topic": d.topic, "what": d.what, "found": d.found, "wanted": d.wanted}
                        for d in differences
                    ],
                }
            )
        )
    else:
        rows = []
        for topic in TABLE:
            name = settings.topic(topic.name)
            have = found.get(name)
            partitions = str(have.partitions) if have else "missing"
            rows.append((name, partitions, topic.cleanup, topic.key, topic.writer))
        write_table(("topic", "partitions", "cleanup", "key", "written by"), rows)
        for difference in differences:
            click.echo(_told(difference) + _cure(difference))
    if differences:
        raise click.exceptions.Exit(1)


@command.command()
@click.argument("role", type=click.Choice(list(ROLES)))
@click.option("--principal", default="User:NAME", show_default=True, help="Who is allowed.")
@with_settings
def acls(role: str, principal: str, settings: Settings) -> None:
    """Print the commands that allow a role what it needs and nothing more.

    Roles: worker, publisher, reader, auditor, operator; docs/security.md says what each does. The
    commands are Kafka's own kafka-acls.sh; nothing is sent to a broker.

    Example: forecart topics acls worker --principal User:forecart
    """
    server = settings.broker or "HOST:PORT"
    for right in rights_of(role, settings.topic_prefix, settings.group):
        words = ["kafka-acls.sh", "--bootstrap-server", server, "--command-config"]
        words += ["ADMIN.properties", "--add", "--allow-principal", principal]
        for operation in right.operations:
            words += ["--operation", operation]
        words += [f"--{right.kind}", right.name]
        words += ["--resource-pattern-type", "prefixed"] if right.is_prefix else []
        click.echo(shlex.join(words))


def _told(difference: Difference) -> str:
    found = difference.found or "not set"
    return f"{difference.topic}: {difference.what}: {found}, should be {difference.wanted}"


def _cure(difference: Difference) -> str:
    if difference.what == "replication":
        return REASSIGN
    if difference.what == "partitions":
        return f" (run with --set partitions={difference.found}, or under another topic_prefix)"
    return " (`forecart topics apply` sets it right)"
