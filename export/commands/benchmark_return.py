"""`python -m export benchmark return`."""

from datetime import date, datetime
from pathlib import Path

import click

from export.commands.options import FILE, FOLDER

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--data", required=True, type=FILE, help="Purchases: customer YYYYMMDD units money.")
@click.option("--out", required=True, type=FOLDER, help="Folder; a run that was cut short goes on.")
@click.option("--cut", default="1997-12-31", show_default=True, type=_DAY, help="Last day known.")
@click.option("--end", default="1998-06-30", show_default=True, type=_DAY, help="Last day asked.")
@click.option(
    "--inner-cut",
    default="1997-06-30",
    show_default=True,
    type=_DAY,
    help="Last day known to the out-of-time models while they learn.",
)
@click.option("--seed", default=1, show_default=True, help="Of the folds and the first network.")
@click.option(
    "--seeds", default=3, show_default=True, type=click.IntRange(1, 20), help="Networks averaged."
)
@click.option(
    "--updates",
    default=900,
    show_default=True,
    type=click.IntRange(1),
    help="Steps of training per network.",
)
def command(
    data: Path,
    out: Path,
    cut: datetime,
    end: datetime,
    inner_cut: datetime,
    seed: int,
    seeds: int,
    updates: int,
) -> None:
    """Say who buys again: LSTM, regression, boosting and buyer models, in folds and out of time.

    The file is gzip or plain, separated by blanks, with a header line, as CDNOW_master. Writes
    report.md, report.html, report.json and pictures.

    Example: python -m export benchmark return --data CDNOW.gz --out /tmp/return
    """
    from export.returns.benchmark import Periods, run
    from export.returns.sequence_model import Recipe

    periods = Periods(_date(inner_cut), _date(cut), _date(end))
    try:
        found = run(data, out, periods, range(seed, seed + seeds), Recipe(updates=updates))
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(found.last_line)


def _date(at: datetime) -> date:
    return at.date()
