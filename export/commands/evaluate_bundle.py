"""`python -m export evaluate-bundle`."""

from pathlib import Path

import click

from export.commands.options import FOLDER
from stream.model.bundle import load_bundle
from stream.model.manifest import BundleError


@click.command()
@click.option("--bundle", "folder", type=FOLDER, help="Folder; default: the shipped bundle.")
@click.option("--seed", default=4711, show_default=True, help="Of the shop it is tested on.")
@click.option("--users", default=1000, show_default=True, help="Of the shop it is tested on.")
def command(folder: Path | None, seed: int, users: int) -> None:
    """Compare a bundle with the baselines on a fresh run of the shop (no torch).

    Example: python -m export evaluate-bundle --seed 99
    """
    from export.evaluation.evaluate import evaluate, render

    try:
        result = evaluate(load_bundle(folder), seed, users, click.echo)
    except (BundleError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(render(result))
