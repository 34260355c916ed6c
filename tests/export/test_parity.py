"""10,000 random windows of all lengths through torch, ONNX and numpy, for each kind of core."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the export extra")

import onnx
import torch
from click.testing import CliRunner

from export.__main__ import group
from export.bundles.parity import compare, largest, random_windows
from export.bundles.read_weights import network_of, read_weights
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


@pytest.mark.parametrize(("kind", "hidden"), [("lstm", 12), ("gru", 12), ("rnn", 16)])
def test_a_bundle_gives_its_weights_back(tmp_path: Path, kind: str, hidden: int) -> None:
    _, weights, bundle = make(tmp_path, kind, 2, hidden)
    read = read_weights(bundle)
    for name in ("item", "mix", "head_mean", "head_std", "hidden", "out_bias", "item_out"):
        assert getattr(read, name) == pytest.approx(getattr(weights, name), abs=1e-6), name
    windows = random_windows(bundle, 300, 4)
    assert largest(compare(network_of(read), read, bundle, windows), 2e-5) < 2e-5


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("w1", None, "w1 is missing"),
        ("w1", np.zeros((1, 48, 11), np.float32), r"w1 is float32 \(1, 48, 11\), expected"),
        ("w1", np.zeros((1, 48, 12)), "w1 is float64"),
        ("mix_b", np.full(16, np.nan, np.float32), "mix_b holds values that are no numbers"),
    ],
)
def test_what_is_wrong_with_an_export_is_named(
    tmp_path: Path, name: str, array: np.ndarray | None, said: str
) -> None:
    """Names, shapes, types, values."""
    bundle = make(tmp_path, "lstm", 2, 12)[2]
    model = onnx.load_from_string(bundle.contents["steps.onnx"])
    constants = [one for one in model.graph.initializer if one.name != name]
    if array is not None:
        constants.append(onnx.numpy_helper.from_array(array, name))
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    bundle.contents["steps.onnx"] = model.SerializeToString()
    with pytest.raises(BundleError, match=f"steps.onnx: constant {said}"):
        read_weights(bundle)


def test_the_command_prints_the_largest_difference(tmp_path: Path) -> None:
    make(tmp_path, "gru", 1, 8)
    result = CliRunner().invoke(group, ["parity", "--bundle", str(tmp_path), "--windows", "200"])
    assert result.exit_code == 0, result.output
    assert "items, torch and ONNX" in result.output
    assert "200 windows of 1 to 8 steps" in result.output.splitlines()[-1]
    (tmp_path / "steps.onnx").write_bytes(b"")
    broken = CliRunner().invoke(group, ["parity", "--bundle", str(tmp_path)])
    assert broken.exit_code == 1
    assert "steps.onnx: 0 bytes" in broken.output


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
