"""`python -m export forecast`: demand of items or categories, an LSTM beside simple methods."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from export.commands.options import FILE, FOLDER
from export.commands.sources import Asked, command_line, read_source, with_source
from export.demand.question import BY, CALENDARS, MEASURES

if TYPE_CHECKING:
    from export.dataset.build import Origin
    from export.demand.activity import Activity


@click.command()
@click.option("--out", required=True, type=FOLDER, help="Folder to write; new or empty.")
@click.option(
    "--purchases",
    type=FILE,
    metavar="FILE",
    help="Lines of customer, date, units, money, as CDNOW_master: one series.",
)
@click.option(
    "--by", default="item", show_default=True, type=click.Choice(BY), help="What a series is of."
)
@click.option(
    "--measure",
    default="units",
    show_default=True,
    type=click.Choice(list(MEASURES)),
    help="What is counted.",
)
@click.option(
    "--period",
    default="day",
    show_default=True,
    type=click.Choice(list(CALENDARS)),
    help="Length of a period, UTC.",
)
@click.option(
    "--look-back",
    type=click.IntRange(1),
    help="Periods the LSTM reads.  [default: 48 hours, 28 days, 12 weeks]",
)
@click.option(
    "--horizon", type=click.IntRange(2), help="Periods ahead.  [default: 24 hours, 7 days, 4 weeks]"
)
@click.option(
    "--season",
    type=click.IntRange(1),
    help="Periods in a season, 1: none.  [default: 24 hours, 7 days, 1 week]",
)
@click.option(
    "--series-max",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="Only the largest so many series.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this series; may come again.")
@click.option(
    "--epochs",
    default=60,
    show_default=True,
    type=click.IntRange(1),
    help="At most; early stopping ends before.",
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0),
    help="Of training and bootstrap.",
)
@with_source
def command(
    asked: Asked,
    out: Path,
    purchases: Path | None,
    by: str,
    measure: str,
    period: str,
    look_back: int | None,
    horizon: int | None,
    season: int | None,
    series_max: int,
    only: tuple[str, ...],
    epochs: int,
    seed: int,
) -> None:  # fmt: skip
    """Forecast demand: train an LSTM, compare it with simple methods, write a report (torch).

    Without --file, --shop and --purchases: the topics of --broker. Written to --out: the forecaster
    (forecaster.onnx, manifest.json), report.md, report.json, plots, and forecasts.jsonl with what
    comes after the data.

    Example: python -m export forecast --file taobao/events_by_time.csv.gz --by category
    --measure views --period hour --out /tmp/demand
    """
    if out.exists() and any(out.iterdir()):
        raise click.ClickException(f"{out} is not empty: name a new folder")
    from export.demand.activity import DemandError
    from export.demand.comparison import compare
    from export.demand.report import write_report
    from export.demand.series import series_of, split_of
    from export.demand.training import Recipe
    from stream.model.manifest import BundleError

    calendar = CALENDARS[period]
    recipe = Recipe(
        look_back=look_back or calendar.look_back,
        horizon=horizon or calendar.horizon,
        season=season or calendar.season,
        epochs_max=epochs,
        seed=seed,
    )
    activity, origin = _activity(asked, purchases)
    try:
        series = series_of(activity, by, measure, calendar, only=only, series_max=series_max)
        total = series.counts.shape[1]
        split = split_of(total, recipe.look_back, recipe.horizon, recipe.season)
        click.echo(f"{len(series.names)} series, whole periods: {total} ({period})")
        done = compare(activity, series, split, recipe, out, origin, click.echo)
        verdict = write_report(out, activity, done)
    except (DemandError, BundleError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{verdict}\nwritten to {out}: report.md")


def _activity(asked: Asked, purchases: Path | None) -> "tuple[Activity, Origin]":
    from export.dataset.build import Origin
    from export.demand.activity import of_log, of_purchases
    from export.returns.purchases import read_purchases

    if purchases is None:
        log, names, origin = read_source(asked)
        return of_log(log, names), origin
    if asked.files or asked.shop:
        raise click.UsageError("give one of --file, --shop and --purchases")
    try:
        read = read_purchases(purchases)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    source = {"kind": "purchases", "file": purchases.name}
    return of_purchases(read), Origin(source, command_line())
