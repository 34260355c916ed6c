"""`python -m export bench-bundle`."""

from pathlib import Path

import click

from export.commands.options import FOLDER
from stream.model.bundle import load_bundle


@click.command()
@click.option("--items", required=True, type=click.IntRange(1), help="Items it knows.")
@click.option("--out", required=True, type=FOLDER, help="Folder.")
@click.option("--seed", default=1, show_default=True, help="Of the random weights.")
def command(items: int, out: Path, seed: int) -> None:
    """Write an LSTM 2x50 of random weights, for benches only.

    Example: python -m export bench-bundle --items 20000 --out /tmp/bundle-20000
    """
    from export.bundles.bench_bundle import bench_bundle as make

    make(out, items, seed=seed)
    click.echo(f"written to {out}: {load_bundle(out).version} (random weights)")
