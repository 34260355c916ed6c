"""`forecart replay FILE`: publish the events of a file, as new events or as a run repeated."""

import re
import uuid
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from stream.commands.options import Number, bootstrap_of, with_settings
from stream.commands.simulate import INTERRUPTED, stamp, stop_on_signal
from stream.core.layout import TOPICS
from stream.local.files import Replay, Survey
from stream.local.files_map import FIELDS, FileError
from stream.local.publish import Pace, Published, Publisher, PublishError, run_paced
from stream.settings import Settings

RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

EPILOG = """\b
Known by their columns: Taobao UserBehavior (pv, cart, fav, buy), Diginetica views
and purchases, Best Buy searches and clicks. Any other CSV, JSON-lines or Parquet
file (.gz too) takes a map:
\b
  forecart replay visits.csv.gz --map user_id=visitor --map item_id=sku
      --map event_time=at --map event_type=kind --type-map seen=click/view
\b
Fields: """ + ", ".join(FIELDS) + """.
Columns in JSON objects are named with dots (product.sku).

Events go out in order of event time; equal times keep the order of the file.
Event ids come of run id, file digest and line: each run is new events, unless
--run-id repeats one, whose events are then all duplicates.
"""  # fmt: skip


@click.command(epilog=EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--map", "maps", multiple=True, metavar="FIELD=COLUMN", help="Column of a field.")
@click.option(
    "--const",
    "constants",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Value of a field where no column gives one.",
)
@click.option(
    "--type-map",
    "types",
    multiple=True,
    metavar="VALUE=TYPE[/ACTION]",
    help="What a value of the event-type column means, e.g. pv=click/view.",
)
@click.option("--rate", type=Number(0, min_open=True), help="Events a second.")
@click.option(
    "--speed",
    metavar="original|full|Nx",
    default=None,
    help="As time passed in the file, as fast as Kafka takes them, or N times as fast "
    "as in the file.  [default: full]",
)
@click.option("--limit", type=click.IntRange(1), help="Only the first so many events.")
@click.option("--run-id", help="Repeat a run: the same event ids.  [default: a new one]")
@click.option("--strict", is_flag=True, help="Publish nothing where one row is broken.")
@with_settings
def command(
    settings: Settings,
    file: Path,
    maps: tuple[str, ...],
    constants: tuple[str, ...],
    types: tuple[str, ...],
    rate: float | None,
    speed: str | None,
    limit: int | None,
    run_id: str | None,
    strict: bool,
) -> None:
    """Publish the events of FILE: clicks, searches and purchases.

    Example: forecart replay taobao/events_by_time.csv.gz --rate 5000
    """
    pace = pace_of(rate, speed)
    run_id = run_id or uuid.uuid4().hex[:12]
    if not RUN_ID.fullmatch(run_id):
        raise click.UsageError(f"--run-id {run_id!r}: 1 to 64 letters, digits, dots, _ or -")
    try:
        replay = Replay(file, run_id, maps, constants, types)
        survey = replay.survey(strict=strict)
        names = [settings.topic(name) for name in TOPICS]
        publisher = Publisher(bootstrap_of(settings), names, settings.security)
        _say_first(replay, survey)
        done = _run(publisher, replay, survey, pace, limit)
    except (FileError, PublishError) as error:
        raise click.ClickException(str(error)) from error
    counts = " ".join(f"{name}={n}" for name, n in zip(TOPICS, done.by_topic, strict=True))
    click.echo(
        f"events={done.records} {counts} broken={survey.broken} run_id={run_id}"
        f" seconds={done.seconds:.1f} events_per_second={done.rate:.0f} ended={done.ended}"
    )
    if done.ended == "stopped":
        raise click.exceptions.Exit(INTERRUPTED)


def pace_of(rate: float | None, speed: str | None) -> Pace:
    """Read --rate and --speed. Raises UsageError."""
    if rate is not None and speed is not None:
        raise click.UsageError("give one of --rate and --speed")
    if speed in {None, "full"}:
        return Pace(rate)
    if speed == "original":
        return Pace(speed=1.0)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)x", speed or "")
    if match is None or not float(match[1]) > 0:
        raise click.UsageError(f"--speed {speed}: write original, full, or e.g. 100x")
    return Pace(speed=float(match[1]))


def _say_first(replay: Replay, survey: Survey) -> None:
    order = "in order of time" if survey.in_order else "sorted by time"
    click.echo(
        f"{replay.file.path.name}: {replay.map.name}, {survey.good} events from"
        f" {stamp(survey.first_ms)} to {stamp(survey.last_ms)}, {order}; run id {replay.run_id}",
        err=True,
    )
    for broken in survey.first_broken:
        click.echo(f"line {broken.line} left out: {broken.why}", err=True)
    if survey.broken > len(survey.first_broken):
        click.echo(f"{survey.broken} broken rows left out in all", err=True)


def _run(
    publisher: Publisher, replay: Replay, survey: Survey, pace: Pace, limit: int | None
) -> Published:
    """Publish with a progress bar, where a person sees it."""
    total = survey.good if limit is None else min(limit, survey.good)
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s"), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal, transient=True,
    )  # fmt: skip
    with bar, stop_on_signal() as stop:
        task = bar.add_task(replay.file.path.name, total=total, rate=0.0)

        def show(done: Published) -> None:
            bar.update(task, completed=done.records, rate=done.rate)

        return run_paced(
            publisher, replay.batches(survey), pace, stop=stop, records_max=limit, on_progress=show
        )
