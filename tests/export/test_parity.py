"""10,000 random windows of all lengths through torch, ONNX and numpy, for each kind of core."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the export extra")

import torch

from export.bundles.parity import compare, largest, random_windows
from export.bundles.weights import Weights
from export.bundles.write_bundle import write_bundle
from export.models import CORES
from export.models.network import Network, Sizes
from stream.model.bundle import Bundle, load_bundle, table_rows
from stream.model.graphs import CPU, OrtGraphs
from stream.model.manifest import BundleError
from stream.model.scorer import OnnxScorer
from stream.model.vocabulary import read_vocabulary
from tests.export.small import ABOUT, vocabulary_bytes
from tests.model.plans import Segment, history, plan_of

pytestmark = pytest.mark.model
WINDOWS = 10_000
ITEMS = 60


def make(folder: Path, kind: str, layers: int, hidden: int) -> tuple[Network, Weights, Bundle]:
    vocabulary = read_vocabulary(vocabulary_bytes(ITEMS))
    rows = table_rows(vocabulary)
    sizes = Sizes(rows["items"], rows["side"], rows["contexts"], ITEMS, item=16, heads=8)
    torch.manual_seed(5)
    network = Network(CORES[kind](sizes.item, hidden, layers), hidden, sizes, 0.1)
    weights = network.weights(np.ones(12), np.zeros(12))
    write_bundle(folder, weights, vocabulary.texts, ABOUT)
    return network, weights, load_bundle(folder)


@pytest.mark.parametrize(
    ("kind", "layers", "hidden"),
    [("lstm", 2, 12), ("gru", 2, 12), ("rnn", 1, 16)],
)
def test_ten_thousand_windows_agree(tmp_path: Path, kind: str, layers: int, hidden: int) -> None:
    network, weights, bundle = make(tmp_path, kind, layers, hidden)
    assert bundle.manifest.model == f"{kind} {layers}x{hidden}"
    windows = random_windows(bundle, WINDOWS, 3)
    assert set(windows.lengths.tolist()) == set(range(1, 2 * bundle.refresh_steps + 1))
    found = compare(network, weights, bundle, windows)
    assert len(found) == 10
    assert largest(found, bundle.manifest.tolerance) < 2e-5


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_wrong_weight_is_named(tmp_path: Path, kind: str) -> None:
    network, weights, bundle = make(tmp_path, kind, 2, 12)
    weights.cells[1].recurrent[0, 0] += 0.05
    windows = random_windows(bundle, 40, 3)
    with pytest.raises(BundleError, match="and numpy differ by"):
        largest(compare(network, weights, bundle, windows), bundle.manifest.tolerance)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_the_worker_carries_the_state_of_each_kind(tmp_path: Path, kind: str) -> None:
    """Whole windows, or a step at a time on the kept state: the same scores."""
    bundle = make(tmp_path, kind, 2, 12)[2]
    scorer = OnnxScorer(bundle, OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU))
    scorer.open(0, 8)
    steps, gap_ms = history(bundle, 2 * bundle.refresh_steps, 5)
    whole = scorer.score(0, plan_of([Segment(steps, gap_ms)]))
    for at in range(len(steps)):
        part = Segment(steps[at : at + 1], gap_ms[at : at + 1], 7 if at else -1, 7)
        carried = scorer.score(0, plan_of([part]))
    assert np.abs(whole.item_scores - carried.item_scores).max() < bundle.manifest.tolerance
    assert np.abs(whole.hazard - carried.hazard).max() < bundle.manifest.tolerance
