"""Bundles of random weights; one of the card's size is made once and kept."""

import shutil
import sys
from pathlib import Path

from stream.model.manifest import FORMAT
from tests.bench.card import Card

OUTPUT = Path("build/bench")


def random_bundle(card: Card, items: int) -> Path:
    """Give its folder."""
    size = f"{card.layers}x{card.hidden}"
    folder = OUTPUT / f"bundle-{FORMAT}-{items}-{size}-{card.refresh_steps}"
    if not folder.exists():
        work = folder.with_suffix(".new")
        shutil.rmtree(work, ignore_errors=True)
        write_random(
            work, items, hidden=card.hidden, layers=card.layers, refresh_steps=card.refresh_steps
        )
        work.rename(folder)
    return folder.absolute()


def write_random(folder: Path, items: int, **sizes: int) -> None:
    """Write one, of `bench_bundle`'s sizes. Ends the program in a line where onnx is missing."""
    try:
        from export.bundles.bench_bundle import bench_bundle  # noqa: PLC0415 an extra
    except ModuleNotFoundError as error:
        sys.exit(f"Error: the package {error.name} is not installed: `make setup` installs it")
    bench_bundle(folder, items, **sizes)
