"""`forecart audit`: check that every input event is accounted for."""

import re
import time
from datetime import UTC, datetime

import click

from stream.audit.decode import OUTCOMES
from stream.audit.run import Names, Report, audit, wait_settled
from stream.commands.options import bootstrap_of, with_settings
from stream.commands.terminal import write_table
from stream.settings import Settings
from stream.shell.reader import Reader
from stream.wire.topics import DEAD_LETTERS, INPUTS, PREDICTIONS, RECEIPTS

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.command()
@click.option(
    "--settle",
    "settle_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait until nothing is in flight, at most so long; if something is, fail.",
)
@click.option(
    "--since", metavar="TIME", help="Only events from a time on: ISO 8601, or 90s, 30m, 2h, 7d ago."
)
@with_settings
def command(settle_s: float | None, since: str | None, settings: Settings) -> None:
    """Check that every input event is accounted for, exactly once.

    Fixes an end, then reads inputs, receipts, predictions and dead letters and compares them: each
    event has one outcome, each prediction one event. Prints a table, the first problems, and one
    last line with all counts. Ends with 0 only if there is no problem (and, with --settle, nothing
    in flight). It may run beside a worker.

    Example: forecart audit --settle 30
    """
    since_ms = None if since is None else _time_ms(since)
    names = Names(
        tuple(settings.topic(name) for name in INPUTS),
        settings.topic(RECEIPTS),
        settings.topic(PREDICTIONS),
        settings.topic(DEAD_LETTERS),
    )
    with Reader(bootstrap_of(settings)) as log:
        if settle_s is not None:
            wait_settled(log, names, settle_s, since_ms)
        repeats = settings.guarantee == "at_least_once"
        report = audit(log, names, since_ms, repeats=repeats)
    _write(report)
    unsettled = settle_s is not None and report.total("in_flight") > 0
    if report.problems.count or unsettled:
        raise click.exceptions.Exit(1)


def _write(report: Report) -> None:
    rows: list[tuple[str | int, ...]] = [
        (f"{topic}-{number}", *(counts[outcome] for outcome in OUTCOMES))
        for (topic, number), counts in sorted(report.counts.items())
    ]
    write_table(("topic-partition", *OUTCOMES), rows)
    if report.truncated:
        click.echo("starts after the first event of a log: what is older is not checked")
    if report.firsts_gone:
        click.echo(f"duplicates whose first is older than the log: {report.firsts_gone}")
    for text in report.problems.shown:
        click.echo(f"problem: {text}")
    if report.problems.count > len(report.problems.shown):
        click.echo(f"problem: ... and {report.problems.count - len(report.problems.shown)} more")
    click.echo(report.summary())


def _time_ms(text: str) -> int:
    """Read a time, or how long ago. Raises click.BadParameter."""
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if ago:
        return int((time.time() - float(ago[1]) * UNITS_S[ago[2]]) * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither ISO 8601 nor a duration such as 2h", param_hint="--since"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
