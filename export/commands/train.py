"""`python -m export train`."""

from pathlib import Path

import click

from export.commands.options import FOLDER
from stream.commands.options import Number


@click.command()
@click.option("--dataset", "data", required=True, type=FOLDER, help="Folder of `export dataset`.")
@click.option("--out", required=True, type=FOLDER, help="Folder to write; must not be there yet.")
@click.option("--kind", default="lstm", show_default=True, help="Recurrent cell: lstm, gru or rnn.")
@click.option("--width", default=50, show_default=True, type=click.IntRange(1), help="Units.")
@click.option("--layers", default=2, show_default=True, type=click.IntRange(1), help="Layers.")
@click.option(
    "--refresh-steps",
    default=16,
    show_default=True,
    type=click.IntRange(1, 127),
    help="L: a window is read over at most 2 L steps.",
)
@click.option("--epochs", default=12, show_default=True, type=click.IntRange(1), help="At most.")
@click.option(
    "--patience",
    default=2,
    show_default=True,
    type=click.IntRange(1),
    help="Epochs without a lower validation loss that end it; the best one counts.",
)
@click.option(
    "--batch-sequences",
    default=32,
    show_default=True,
    type=click.IntRange(1),
    help="Sequences a step learns from.",
)
@click.option(
    "--rate",
    default=3e-3,
    show_default=True,
    type=Number(0, min_open=True),
    help="Of learning, at its highest.",
)
@click.option(
    "--dropout",
    default=0.1,
    show_default=True,
    type=Number(0, 1),
    help="Of the items on their way in.",
)
@click.option(
    "--items-max",
    default=20_000,
    show_default=True,
    type=click.IntRange(1),
    help="Items known by name: the most frequent of train. Each costs at every event.",
)
@click.option(
    "--items-min",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Steps that an item needs to be known by name.",
)
@click.option("--seed", default=1, show_default=True, help="Of everything drawn by chance.")
@click.option("--name", default="shop", show_default=True, help="First part of the version.")
def command(
    data: Path,
    out: Path,
    kind: str,
    width: int,
    layers: int,
    refresh_steps: int,
    epochs: int,
    patience: int,
    batch_sequences: int,
    rate: float,
    dropout: float,
    items_max: int,
    items_min: int,
    seed: int,
    name: str,
) -> None:
    """Train a recurrent model on a dataset and write a bundle (needs torch).

    Stops when validation gets no better, calibrates on validation, checks torch, ONNX and numpy
    against each other, and measures on test, as served, beside the baselines. Stopped by Ctrl-C,
    the same command goes on after the last whole epoch.

    Example: python -m export train --dataset /tmp/shop --out /tmp/bundle
    """
    from export.bundles.dataset_bundle import Order, dataset_bundle
    from export.commands.progress import Bars
    from export.commands.sources import command_line
    from export.dataset.folder import load_dataset
    from export.evaluation.evaluate import render
    from export.models import CORES
    from export.training.train import Recipe

    if out.exists():
        raise click.ClickException(f"{out} is there already: name a folder that is not")
    if kind not in CORES:
        raise click.ClickException(f"no recurrent cell {kind}; there are {', '.join(CORES)}")
    recipe = Recipe(
        kind=kind, hidden=width, layers=layers, epochs=epochs, batch_sequences=batch_sequences,
        rate=rate, dropout=dropout, patience=patience, seed=seed,
    )  # fmt: skip
    order = Order(name, refresh_steps, items_max, items_min, recipe, command_line())
    try:
        dataset = load_dataset(data)
        with Bars() as bars:
            made, result = dataset_bundle(out, dataset, order, bars.say, bars.ticker("training"))
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(render(result))
    click.echo(f"\nwritten to {out}: {made.bundle.version}")
