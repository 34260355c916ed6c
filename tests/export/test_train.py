"""A tiny training, whole: torch, ONNX and numpy agree, the bytes repeat, calibration holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the export extra")

import torch

from export.baselines.logistic import sigmoid
from export.bundles.demo_bundle import Demo, demo_bundle
from export.bundles.parity import check_parity
from export.bundles.write_bundle import write_bundle
from export.dataset.event_log import EventLog
from export.dataset.labels import hazard_labels, labels_of
from export.dataset.record import Recorded
from export.dataset.training_set import TrainingSet, training_set
from export.models.contract import Part
from export.models.network import Network, Sizes
from export.training.calibrate import calibrate
from export.training.checkpoint import CheckpointError
from export.training.item_start import DENSE_ITEMS_MAX, item_start
from export.training.train import Recipe, Trainer, run_rows, train, validation_losses
from stream.core.config import DAY_MS, EngineConfig
from stream.model.bundle import Bundle, load_bundle, table_rows
from stream.model.graphs import CPU, OrtGraphs
from stream.model.manifest import BundleError
from stream.model.vocabulary import Vocabulary, read_vocabulary
from tests.export.small import ABOUT, vocabulary_bytes

pytestmark = pytest.mark.model
EDGES = EngineConfig().hazard_edges_ms


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return read_vocabulary(vocabulary_bytes(200))


@pytest.fixture(scope="module")
def data(log: EventLog, recorded: Recorded, vocabulary: Vocabulary) -> TrainingSet:
    labels = labels_of(recorded, log.end_ms, 2 * DAY_MS, EDGES)
    return training_set(recorded, labels, vocabulary)


def sizes_for(vocabulary: Vocabulary) -> Sizes:
    rows = table_rows(vocabulary)
    return Sizes(rows["items"], rows["side"], rows["contexts"], 200, item=24)


def whole(data: TrainingSet, vocabulary: Vocabulary) -> Part:
    return Part(data, vocabulary, np.arange(len(data.user)), EDGES)


def quiet(_text: str) -> None:
    pass


def trained(data: TrainingSet, vocabulary: Vocabulary, **change: object) -> Network:
    recipe = Recipe(**{"hidden": 16, "epochs": 1, "seed": 3} | change)  # type: ignore[arg-type]
    return train(whole(data, vocabulary), sizes_for(vocabulary), recipe, quiet).network


@pytest.fixture(scope="module")
def network(data: TrainingSet, vocabulary: Vocabulary) -> Network:
    return trained(data, vocabulary)


def write(folder: Path, network: Network, vocabulary: Vocabulary) -> Bundle:
    weights = network.weights(np.ones(12), np.zeros(12))
    write_bundle(folder, weights, vocabulary.texts, ABOUT)
    return load_bundle(folder)


@pytest.mark.parametrize("hidden", [16, 24])
def test_three_implementations_agree(
    data: TrainingSet, vocabulary: Vocabulary, tmp_path: Path, hidden: int
) -> None:
    """With a projection (hidden 16, items 24) and without one."""
    network = trained(data, vocabulary, hidden=hidden)
    bundle = write(tmp_path, network, vocabulary)
    weights = network.weights(np.ones(12), np.zeros(12))
    assert (weights.project is None) == (hidden == 24)
    sequences = np.arange(0, len(data.lengths), len(data.lengths) // 10)
    assert check_parity(network, weights, bundle, data, sequences) < 2e-5
    weights.cells[0].recurrent[0, 0] += 0.05
    with pytest.raises(BundleError, match="differ"):
        check_parity(network, weights, bundle, data, sequences)


def test_the_same_seed_gives_the_same_bytes(
    network: Network, data: TrainingSet, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    one = write(tmp_path / "one", network, vocabulary)
    other = write(tmp_path / "other", trained(data, vocabulary), vocabulary)
    assert one.version == other.version
    assert one.contents == other.contents
    third = write(tmp_path / "third", trained(data, vocabulary, seed=4), vocabulary)
    assert third.version != one.version


def test_heads_of_torch_and_onnx_agree_after_calibration(
    network: Network, data: TrainingSet, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    rows = np.arange(0, len(data.user), 7)
    top, logits = run_rows(network, data, rows)
    rng = np.random.default_rng(1)
    scale, shift = rng.uniform(0.5, 2, 12), rng.normal(0, 1, 12)
    scale[:3], shift[:3] = 1, 0
    weights = network.weights(scale, shift)
    write_bundle(tmp_path, weights, vocabulary.texts, ABOUT)
    bundle = load_bundle(tmp_path)
    graphs = OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU)
    raw = _raw_heads(data, rows)
    next_event, purchase, hazard = graphs.heads(top.numpy(), raw, data.context[rows])
    expected = logits.numpy() * scale + shift
    assert np.abs(next_event - torch.softmax(logits[:, :3], 1).numpy()).max() < 1e-5
    assert np.abs(purchase - sigmoid(expected[:, 3])).max() < 1e-5
    assert np.abs(hazard - sigmoid(expected[:, 4:])).max() < 1e-5


def _raw_heads(data: TrainingSet, rows: np.ndarray) -> np.ndarray:
    """Undo the log scale: the graph takes raw features."""
    from export.bundles.weights import HEAD_LOG  # noqa: PLC0415

    scaled = data.head[rows].astype(np.float64)
    raw = np.where(scaled < 0, scaled / 4, np.expm1(np.maximum(scaled, 0)))
    return np.where(HEAD_LOG, raw, scaled).astype(np.float32)


def test_validation_users_are_not_learned_from(data: TrainingSet, vocabulary: Vocabulary) -> None:
    recipe = Recipe(hidden=16, epochs=1, seed=3, held_out=0.3)
    made = train(whole(data, vocabulary), sizes_for(vocabulary), recipe, quiet)
    apart = made.validation.rows
    held = set(data.user[apart].tolist())
    assert 5 < len(held) < 40
    changed = data.labels.purchase.copy()
    changed[apart] = 1
    labels = replace(data.labels, purchase=changed)
    other = whole(replace(data, labels=labels), vocabulary)
    again = train(other, sizes_for(vocabulary), recipe, quiet)
    assert same_weights(made.network, again.network)


def same_weights(one: Network, other: Network) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(here, there) for here, there in pairs)


def apart_by_user(part: Part) -> tuple[Part, Part]:
    held = part.data.user[part.rows] % 4 == 0
    return part.at(part.rows[~held]), part.at(part.rows[held])


def test_a_sequence_is_not_learned_and_validated(data: TrainingSet, vocabulary: Vocabulary) -> None:
    part = whole(data, vocabulary)
    with pytest.raises(ValueError, match="rows to learn from and rows of validation"):
        Trainer(part.at(part.rows[::2]), sizes_for(vocabulary), Recipe(), part.at(part.rows[1::2]))


def test_training_ends_when_validation_gets_no_better(
    data: TrainingSet, vocabulary: Vocabulary
) -> None:
    """A rate that is far too high: the best epoch is an early one, and its weights are kept."""
    learned, held = apart_by_user(whole(data, vocabulary))
    recipe = Recipe(hidden=8, layers=1, epochs=30, patience=2, rate=0.5, seed=3)
    made = train(learned, sizes_for(vocabulary), recipe, quiet, validation=held)
    assert len(made.epochs) == made.best + 1 + recipe.patience < recipe.epochs
    totals = [sum(epoch.validation) for epoch in made.epochs]
    assert made.best == int(np.argmin(totals))
    again = validation_losses(made.network, held, recipe)
    assert again == pytest.approx(made.epochs[made.best].validation, rel=1e-5)


def test_training_goes_on_from_a_checkpoint_to_the_same_network(
    data: TrainingSet, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    learned, held = apart_by_user(whole(data, vocabulary))
    sizes, path = sizes_for(vocabulary), tmp_path / "training.pt"
    recipe = Recipe(hidden=8, layers=1, epochs=3, patience=5, seed=3)
    once = train(learned, sizes, recipe, quiet, validation=held)
    first = Trainer(learned, sizes, recipe, held)
    first.run_epoch(lambda _done, _count: None)
    first.save(path)
    told: list[str] = []
    ticks: list[tuple[int, int]] = []
    twice = train(
        learned, sizes, recipe, told.append, validation=held, checkpoint=path,
        tick=lambda done, count: ticks.append((done, count)),
    )  # fmt: skip
    assert told[0].startswith("going on after epoch 1")
    assert len(told) == 1 + 2
    assert ticks[-1][0] == ticks[-1][1] == 3 * ticks[0][1] // 3
    assert same_weights(once.network, twice.network)
    assert twice.epochs == once.epochs
    other = Trainer(learned, sizes, replace(recipe, seed=4), held)
    with pytest.raises(CheckpointError, match="seed=3 then, 4 now"):
        other.resume(path)
    assert not other.resume(tmp_path / "none.pt")


def test_calibration_mends_a_skewed_logit() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(0, 1.5, 20_000)
    label = (rng.random(len(true)) < sigmoid(true)).astype(np.int64)
    logits = np.zeros((len(true), 12), np.float32)
    logits[:, 3] = 2 * true + 1
    gap = np.where(label == 1, 1, -1)
    hazard = hazard_labels(gap, np.full(len(gap), 2 * EDGES[0]), EDGES)
    logits[:, 4] = 0.5 * true - 2
    empty = np.zeros(0, np.int64)
    from export.dataset.labels import Labels  # noqa: PLC0415

    labels = Labels(empty.astype(np.uint64), empty, label, gap, gap, hazard)
    made = calibrate(logits, labels, np.arange(len(true)))
    assert made.scale[3:5] == pytest.approx([0.5, 2], rel=0.1)
    assert made.shift[3:5] == pytest.approx([-0.5, 4], abs=0.25)
    assert np.all(made.scale[5:] == 1), "bins without labels stay as they are"
    assert made.described()["purchase"]["scale"] == pytest.approx(made.scale[3], abs=1e-5)


@pytest.mark.parametrize("rows", [42, DENSE_ITEMS_MAX + 1])
def test_items_seen_together_start_together(rows: int) -> None:
    """In both ways of finding the factors."""
    rng = np.random.default_rng(1)
    groups = np.arange(1, 41).reshape(4, 10)
    visits = [rng.permutation(groups[rng.integers(4)])[:5] for _ in range(400)]
    start = item_start(np.concatenate(visits), np.repeat(np.arange(400), 5), rows, 8)
    assert np.linalg.norm(start, axis=1) == pytest.approx(np.ones(rows), abs=1e-5)
    close = start @ start.T
    inside = np.mean([close[np.ix_(group, group)].mean() for group in groups])
    across = close[np.ix_(groups[0], groups[1])].mean()
    assert inside > across + 0.5


def test_the_command_makes_a_bundle_that_loads(tmp_path: Path) -> None:
    demo = Demo(seed=2, users=40, items=200, test_seed=3, test_users=40, recipe=Recipe(epochs=1))
    result = demo_bundle(tmp_path, demo, lambda _: None)
    bundle = load_bundle(tmp_path, 32)
    assert bundle.manifest.metrics["tables"].keys() == result["tables"].keys()
    assert bundle.manifest.training.synthetic
    assert bundle.manifest.model == "lstm 2x50"
    assert len(bundle.vocabulary.popular) == 100
