"""`python -m export parity`."""

from pathlib import Path

import click

from export.commands.options import FOLDER


@click.command()
@click.option("--bundle", "folder", type=FOLDER, help="Folder; default: the shipped bundle.")
@click.option(
    "--windows", default=10_000, show_default=True, type=click.IntRange(1), help="Random windows."
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of them.")
def command(folder: Path | None, windows: int, seed: int) -> None:
    """Run a bundle's weights in torch, ONNX and numpy, print the largest differences (needs torch).

    Example: python -m export parity --bundle run/bundle --windows 2000
    """
    from export.bundles.parity import compare, largest, random_windows
    from export.bundles.read_weights import network_of, read_weights
    from stream.model.bundle import load_bundle
    from stream.model.manifest import BundleError

    try:
        bundle = load_bundle(folder)
        weights = read_weights(bundle)
        drawn = random_windows(bundle, windows, seed)
        found = compare(network_of(weights), weights, bundle, drawn, seed)
        for name, difference in found.items():
            click.echo(f"{name:<24}{difference:.2e}")
        worst = largest(found, bundle.manifest.tolerance)
    except BundleError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{bundle.version}: {windows} windows of 1 to {2 * bundle.refresh_steps} steps, "
        f"largest difference {worst:.2e}, tolerance {bundle.manifest.tolerance:.0e}"
    )
