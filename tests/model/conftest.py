"""A small bundle of random weights, made once: 300 items, LSTM 2x20, L = 4."""

from pathlib import Path

import pytest

from stream.model.bundle import Bundle, load_bundle
from stream.model.graphs import CPU, OrtGraphs

ITEMS = 300
REFRESH_STEPS = 4


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's folder: copy it before changing anything."""
    pytest.importorskip("onnx", reason="making a bundle needs the export extra")
    from export.bundles.bench_bundle import bench_bundle  # noqa: PLC0415 - needs the extra

    path = tmp_path_factory.mktemp("bundle") / "small"
    bench_bundle(path, ITEMS, hidden=20, refresh_steps=REFRESH_STEPS, seed=3)
    return path


@pytest.fixture(scope="session")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder)


@pytest.fixture(scope="session")
def graphs(bundle: Bundle) -> OrtGraphs:
    return OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU)
