"""`python -m export COMMAND`: make, check and measure bundles."""

from pathlib import Path

import click

from stream.model.bundle import SHIPPED, load_bundle
from stream.model.manifest import BundleError

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Make, check and measure model bundles."""


@group.command("demo-bundle")
@click.option("--out", type=FOLDER, default=SHIPPED, help="Folder; default: the shipped bundle.")
@click.option("--seed", default=7, show_default=True, help="Of the shop and of the training.")
@click.option("--users", default=2000, show_default=True, help="Of the simulated shop.")
@click.option("--epochs", default=6, show_default=True)
def demo_bundle(out: Path, seed: int, users: int, epochs: int) -> None:
    """Simulate a shop, train the LSTM, print how it does, write the bundle (needs torch).

    Example: python -m export demo-bundle --out /tmp/bundle
    """
    from export.demo_bundle import Demo  # noqa: PLC0415 - needs torch
    from export.demo_bundle import demo_bundle as make  # noqa: PLC0415
    from export.evaluate import render  # noqa: PLC0415
    from export.train import Recipe  # noqa: PLC0415

    demo = Demo(seed=seed, users=users, test_seed=seed + 1000, recipe=Recipe(epochs=epochs))
    result = make(out, demo, click.echo)
    click.echo(render(result))
    click.echo(f"\nwritten to {out}: {load_bundle(out).version}")


@group.command("evaluate-bundle")
@click.option("--bundle", "folder", type=FOLDER, help="Folder; default: the shipped bundle.")
@click.option("--seed", default=4711, show_default=True, help="Of the shop it is tested on.")
@click.option("--users", default=1000, show_default=True, help="Of the shop it is tested on.")
def evaluate_bundle(folder: Path | None, seed: int, users: int) -> None:
    """Compare a bundle with the baselines on a fresh run of the shop (no torch).

    Example: python -m export evaluate-bundle --seed 99
    """
    from export.evaluate import evaluate, render  # noqa: PLC0415 - quick --help

    try:
        result = evaluate(load_bundle(folder), seed, users, click.echo)
    except (BundleError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(render(result))


@group.command("bench-bundle")
@click.option("--items", required=True, type=click.IntRange(1), help="Items it knows.")
@click.option("--out", required=True, type=FOLDER, help="Folder.")
@click.option("--seed", default=1, show_default=True, help="Of the random weights.")
def bench_bundle(items: int, out: Path, seed: int) -> None:
    """Write an LSTM 2x50 of random weights, for benches only.

    Example: python -m export bench-bundle --items 20000 --out /tmp/bundle-20000
    """
    from export.bench_bundle import bench_bundle as make  # noqa: PLC0415 - needs onnx

    make(out, items, seed=seed)
    click.echo(f"written to {out}: {load_bundle(out).version} (random weights)")


@group.command("features-doc")
@click.option("--check", is_flag=True, help="Change nothing; fail when the tables are old.")
def features_doc(check: bool) -> None:
    """Write the tables of docs/features.md from the code.

    Example: python -m export features-doc --check
    """
    from export.features_doc import DOC, refreshed  # noqa: PLC0415 - quick --help

    text = DOC.read_text()
    fresh = refreshed(text)
    if check and fresh != text:
        raise click.ClickException("docs/features.md is old: run python -m export features-doc")
    DOC.write_text(fresh)


if __name__ == "__main__":
    group(prog_name="python -m export")
