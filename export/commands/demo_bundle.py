"""`python -m export demo-bundle`."""

from pathlib import Path

import click

from export.commands.options import FOLDER
from stream.model.bundle import SHIPPED, load_bundle


@click.command()
@click.option("--out", type=FOLDER, default=SHIPPED, help="Folder; default: the shipped bundle.")
@click.option("--seed", default=7, show_default=True, help="Of the shop and of the training.")
@click.option("--users", default=2000, show_default=True, help="Of the simulated shop.")
@click.option("--epochs", default=6, show_default=True, help="Passes over the training data.")
def command(out: Path, seed: int, users: int, epochs: int) -> None:
    """Simulate a shop, train the LSTM, print how it does, write the bundle (needs torch).

    Example: python -m export demo-bundle --out /tmp/bundle
    """
    from dataclasses import replace

    from export.bundles.demo_bundle import SHIPPED_RECIPE, Demo
    from export.bundles.demo_bundle import demo_bundle as make
    from export.evaluation.evaluate import render

    demo = Demo(
        seed=seed, users=users, test_seed=seed + 1000, recipe=replace(SHIPPED_RECIPE, epochs=epochs)
    )
    result = make(out, demo, click.echo)
    click.echo(render(result))
    click.echo(f"\nwritten to {out}: {load_bundle(out).version}")
