"""The bundle that a prediction was made with: named, or found in the deployment's folders."""

from pathlib import Path

from stream.model.bundle import Bundle, load_bundle
from stream.served.log import ServedError
from stream.settings import Settings


def bundle_of(version: str, folder: Path | None, settings: Settings) -> Bundle:
    """Load the bundle of a model_version. Raises ServedError where it is another, BundleError.

    Without a folder: the one of this name among the deployment's models, else the one that
    workers start with.
    """
    if folder is None:
        kept = settings.models_path / version
        folder = kept if kept.is_dir() else Path(settings.bundle) if settings.bundle else None
    bundle = load_bundle(folder, settings.window_steps, settings.bundle_public_key_file)
    if bundle.version != version:
        raise ServedError(
            f"model {version} is needed, and the bundle in {bundle.folder} is {bundle.version}:"
            " name the folder of the other with --bundle"
        )
    return bundle
