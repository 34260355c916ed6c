"""`python -m export dataset`."""

from pathlib import Path

import click

from export.commands.options import FOLDER, TIME
from export.commands.sources import Asked, read_source, with_source
from stream.commands.options import Number


@click.command()
@click.option("--out", required=True, type=FOLDER, help="Folder to write; must not be there yet.")
@click.option(
    "--validation-share",
    default=0.1,
    show_default=True,
    type=Number(0, 1),
    help="Share of the events, by time, just before the test split.",
)
@click.option(
    "--test-share",
    default=0.1,
    show_default=True,
    type=Number(0, 1),
    help="Share of the events, by time, at the end.",
)
@click.option(
    "--validation-from",
    "validation_ms",
    type=TIME,
    help="Event time at which validation begins, in place of a share.",
)
@click.option(
    "--test-from",
    "test_ms",
    type=TIME,
    help="Event time at which test begins, in place of a share.",
)
@click.option(
    "--items-from",
    type=click.Choice(["item", "category"]),
    default="item",
    show_default=True,
    help="What is an item: `category` for logs that are too sparse in items. A bundle of "
    "it serves events whose item_id is the category.",
)
@click.option(
    "--purchase-horizon-hours",
    default=168.0,
    show_default=True,
    type=Number(0, min_open=True),
    help="Within which a purchase counts; without answer nearer to a split's end.",
)
@with_source
def command(
    asked: Asked,
    out: Path,
    validation_share: float,
    test_share: float,
    validation_ms: int | None,
    test_ms: int | None,
    items_from: str,
    purchase_horizon_hours: float,
) -> None:
    """Make a dataset of topics, files or a simulated shop: split by time, with a report.

    Without --file and --shop: the topics of --broker. Nothing is fitted on what comes after train.
    Users who asked to be forgotten stay out; keys are kept as salted hashes only.

    Example: python -m export dataset --file taobao/events_by_time.csv.gz --out /tmp/taobao
    """
    from export.dataset.build import Wishes, build_dataset
    from export.dataset.folder import REPORT, DatasetError
    from stream.core.config import EngineConfig

    if out.exists():
        raise click.ClickException(f"{out} is there already: name a folder that is not")
    log, names, origin = read_source(asked)
    wishes = Wishes(
        validation_share=validation_share,
        test_share=test_share,
        validation_ms=validation_ms,
        test_ms=test_ms,
        items_from=items_from,
        purchase_horizon_ms=int(purchase_horizon_hours * 3_600_000),
        salt=asked.salt(),
        engine=asked.settings.engine(1, EngineConfig().hazard_edges_ms),
    )
    try:
        dataset = build_dataset(out, log, names, origin, wishes, click.echo)
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    counts = dataset.manifest.counts
    click.echo(
        f"written to {out}: events={counts['events']} rows={counts['rows']} users={counts['users']}"
        f" items={counts['items']}; see {out / REPORT}"
    )
