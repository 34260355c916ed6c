"""`forecart audit`: check that every input event is accounted for."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from stream.audit.checks import Problems
from stream.audit.decode import OUTCOMES
from stream.audit.run import Names, Report, audit, wait_settled
from stream.commands.options import Number, reader_of, with_settings
from stream.commands.terminal import write_table
from stream.model.bundle import Bundle, load_bundle
from stream.model.manifest import BundleError
from stream.model.providers import open_graphs
from stream.served.bundles import bundle_of
from stream.served.log import Log, ServedError, names_of
from stream.served.parity import Parity, Recomputation
from stream.settings import Settings
from stream.wire.decode import Decoder

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.command()
@click.option(
    "--settle",
    "settle_s",
    type=Number(min=0),
    metavar="SECONDS",
    help="Wait until nothing is in flight, at most so long; if something is, fail.",
)
@click.option(
    "--since", metavar="TIME", help="Only events from a time on: ISO 8601, or 90s, 30m, 2h, 7d ago."
)
@click.option(
    "--scores",
    is_flag=True,
    help="Also recompute every digest and score, with the engine and the bundle.",
)
@click.option(
    "--bundle",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="With --scores: a bundle; default: those of the deployment, by their versions.",
)
@with_settings
def command(
    settle_s: float | None,
    since: str | None,
    scores: bool,
    folders: tuple[Path, ...],
    settings: Settings,
) -> None:
    """Check that every input event is accounted for, exactly once.

    Fixes an end, then reads inputs, receipts, predictions and dead letters and compares them: each
    event has one outcome, each prediction one event. Prints a table, the first problems, and one
    last line with all counts. Ends with 0 only if there is no problem (and, with --settle, nothing
    in flight). It may run beside a worker.

    With --scores, the rows are applied and scored once more in the order in which the worker
    applied them; a line for each model says how many digests and scores are equal.

    Example: forecart audit --settle 30
    """
    since_ms = None if since is None else _time_ms(since)
    if folders and not scores:
        raise click.UsageError("--bundle goes with --scores.")
    names = names_of(settings.topic_prefix)
    passes: list[Parity] = []
    with reader_of(settings) as log:
        if settle_s is not None:
            wait_settled(log, names, settle_s, since_ms)
        repeats = settings.guarantee == "at_least_once"
        report = audit(log, names, since_ms, repeats=repeats)
        if scores:
            try:
                passes = _recompute(log, names, folders, settings)
            except (BundleError, ServedError) as error:
                raise click.ClickException(str(error)) from error
    _write(report)
    for parity in passes:
        _write_problems(parity.problems)
        click.echo(f"scores: {parity.summary()}")
    unsettled = settle_s is not None and report.total("in_flight") > 0
    if report.problems.count or unsettled or any(parity.problems.count for parity in passes):
        raise click.exceptions.Exit(1)


def _recompute(
    log: Log, names: Names, folders: tuple[Path, ...], settings: Settings
) -> list[Parity]:
    """Make a pass with the first bundle, and one for each other model that it meets."""
    given = [load_bundle(folder, settings.window_steps) for folder in folders]
    first = given[0] if given else load_bundle(settings.bundle or None, settings.window_steps)
    done = [_pass(log, names, first, settings, others=True)]
    for version in done[0].other_models:
        known = next((bundle for bundle in given if bundle.version == version), None)
        other = known or bundle_of(version, None, settings)
        done.append(_pass(log, names, other, settings, others=False))
    return done


def _pass(log: Log, names: Names, bundle: Bundle, settings: Settings, *, others: bool) -> Parity:
    config = settings.engine(bundle.refresh_steps, bundle.hazard_edges_ms)
    partitions = len(log.ranges([names.predictions]))
    decoder = Decoder(partitions, settings.event_bytes_max, settings.skew_ms_max)
    graphs = open_graphs(bundle, "cpu")
    again = Recomputation(
        log, names, bundle, graphs, config, decoder, settings.items_top, others=others
    )
    for number in range(partitions):
        again.compare(number)
    return again.parity


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
    _write_problems(report.problems)
    click.echo(report.summary())


def _write_problems(problems: Problems) -> None:
    for text in problems.shown:
        click.echo(f"problem: {text}")
    if problems.count > len(problems.shown):
        click.echo(f"problem: ... and {problems.count - len(problems.shown)} more")


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
