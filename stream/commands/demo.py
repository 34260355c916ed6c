"""`forecart demo`: everything at once, live in the terminal."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import click
from rich.console import Console

from stream.commands.options import Number, with_settings
from stream.connection import BrokerError
from stream.local.children import ChildError
from stream.local.console import Screen
from stream.local.demo_broker import Kafka
from stream.local.demo_run import Demo, Stop, run
from stream.local.kafka import EmbeddedKafkaError
from stream.settings import Settings
from stream.shell.admin import TopicAdmin, TopicsError
from stream.shell.reader import Reader, ReadStalledError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option(
    "--seconds",
    type=Number(0, min_open=True),
    help="Trade so long, then end; default: until Ctrl-C.",
)
@click.option(
    "--rate",
    default=1_000.0,
    show_default=True,
    type=Number(1, 50_000),
    help="Events a second.",
)
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="Of the simulated shop."
)
@click.option("--keep", is_flag=True, help="Leave the topics of the run.")
@with_settings
def command(settings: Settings, seconds: float | None, rate: float, seed: int, keep: bool) -> None:
    """Show the whole system at work: Kafka, a simulated shop, a worker, predictions and alerts.

    Three days of the shop pass in a second, so churn alerts come within a minute. The topics are
    the run's own. Latency is from an event's record timestamp until its prediction is readable.
    All events are synthetic. Ctrl-C ends it. Example: forecart demo --seconds 60
    """
    console = Console()
    stop = Stop()
    demo = Demo(seconds=seconds, rate=rate, keep=keep, seed=seed)
    try:
        with stop_on_signals(stop):
            console.print("starting: broker, topics, worker ...", highlight=False)
            outcome = run(
                settings,
                demo,
                Kafka(TopicAdmin, partial(Reader, security=settings.security)),
                lambda place: Screen(console, place),
                stop,
            )
    except (ChildError, EmbeddedKafkaError, TopicsError, BrokerError, ReadStalledError) as error:
        raise click.ClickException(str(error)) from error
    if not outcome.drained and not stop.hurry.is_set():
        click.echo(outcome.summary)
        raise click.ClickException("the worker did not get through all events in time")
    click.echo(outcome.summary)


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """Have signals ask for an orderly end, in place of an exception anywhere."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
