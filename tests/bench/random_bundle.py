"""A bundle of the card's size with random weights, made once and kept."""

import shutil
from pathlib import Path

from stream.model.manifest import FORMAT
from tests.bench.card import Card

OUTPUT = Path("build/bench")


def random_bundle(card: Card, items: int) -> Path:
    """Give its folder."""
    from export.bundles.bench_bundle import bench_bundle  # noqa: PLC0415 needs onnx

    size = f"{card.layers}x{card.hidden}"
    folder = OUTPUT / f"bundle-{FORMAT}-{items}-{size}-{card.refresh_steps}"
    if not folder.exists():
        work = folder.with_suffix(".new")
        shutil.rmtree(work, ignore_errors=True)
        bench_bundle(
            work, items, hidden=card.hidden, layers=card.layers, refresh_steps=card.refresh_steps
        )
        work.rename(folder)
    return folder.absolute()
