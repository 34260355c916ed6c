"""`forecart kafka`: start, stop and look at the embedded broker."""

import click

from stream.commands.options import with_settings
from stream.local.kafka import EmbeddedKafkaError, embedded
from stream.settings import Settings


@click.group()
def command() -> None:
    """Run Apache Kafka on this machine: no Docker, no system Java.

    Data stay in the user's state folder over restarts. Example: forecart kafka up
    """


@command.command()
@click.option(
    "--port",
    default=0,
    show_default="the former one, or a free one",
    type=click.IntRange(0, 65_535),
    help="Port that clients connect to.",
)
@with_settings
def up(port: int, settings: Settings) -> None:
    """Start the broker, or find the running one, and print its address.

    Example: forecart kafka up --port 9092
    """
    _refuse_foreign(settings)
    try:
        click.echo(embedded(settings, port=port).up())
    except EmbeddedKafkaError as error:
        raise click.ClickException(str(error)) from error


@command.command()
@with_settings
def down(settings: Settings) -> None:
    """Stop the broker; its data stay.

    Example: forecart kafka down
    """
    _refuse_foreign(settings)
    try:
        was_running = embedded(settings).down()
    except EmbeddedKafkaError as error:
        raise click.ClickException(str(error)) from error
    click.echo("stopped" if was_running else "was not running")


@command.command()
@with_settings
def status(settings: Settings) -> None:
    """Say whether the broker runs, where it listens and where its files are.

    Ends with status 1 when it does not run. Example: forecart kafka status
    """
    if settings.broker:
        click.echo(f"the settings name a broker: {settings.broker}; the embedded one is not used")
    state = embedded(settings).status()
    if not state.is_running:
        click.echo(f"not running (home {state.home})")
        raise click.exceptions.Exit(1)
    word = "ready" if state.ready else "starting"
    click.echo(
        f"{word}: Kafka {state.kafka} on {state.bootstrap}, process {state.pid}, home {state.home}"
    )


def _refuse_foreign(settings: Settings) -> None:
    if settings.broker:
        raise click.ClickException(
            f"the settings name a broker, {settings.broker}: it is not this command's to start"
            " or stop"
        )
