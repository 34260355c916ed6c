"""`forecart model sign`: put a signature beside a bundle's manifest."""

from pathlib import Path

import click

from stream.commands.options import with_settings
from stream.commands.terminal import harmless
from stream.settings import Settings


@click.command("sign")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Ed25519 private key, PEM; made by `openssl genpkey -algorithm ed25519`.",
)
@with_settings
def command(folder: Path, key_file: Path, settings: Settings) -> None:
    """Check a bundle and sign it, so that workers with the public key take it and no other.

    Example: forecart model sign build/candidate --key ~/keys/bundles.pem
    """
    from stream.model.bundle import load_bundle
    from stream.model.manifest import BundleError
    from stream.model.signature import sign

    try:
        version = load_bundle(folder, settings.window_steps).version
        path = sign(folder, key_file)
    except BundleError as error:
        raise click.ClickException(f"refused: {harmless(str(error))}") from error
    click.echo(f"signed {version}: {path}")
