"""A bundle of a dataset, end to end and small: trained, measured as served, loaded again."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the export extra")

from click.testing import CliRunner

from export.__main__ import group
from export.dataset.folder import load_dataset
from export.evaluation.on_dataset import evaluate_on, served_runs
from stream.core.layout import EVENT_TYPES
from stream.model.bundle import load_bundle

pytestmark = pytest.mark.model

SHOP = ["--shop", "--shop-users", "60", "--shop-items", "200", "--shop-days", "20"]
SMALL = ["--width", "8", "--layers", "1", "--epochs", "2", "--refresh-steps", "4"]


def run(*arguments: object) -> str:
    """Run a command that must work; returns what it printed."""
    result = CliRunner().invoke(group, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def fails(*arguments: object) -> str:
    """Run a command that must not work; returns its one line."""
    result = CliRunner().invoke(group, [str(argument) for argument in arguments])
    assert result.exit_code in {1, 2}
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "shop"
    text = run("dataset", *SHOP, "--purchase-horizon-hours", 24, "--out", folder)
    assert "written to" in text
    return folder


@pytest.fixture(scope="module")
def bundle_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "made"
    text = run("train", "--dataset", folder, "--out", out, *SMALL, "--items-max", 150)
    assert "parity" in text
    assert not list(out.parent.glob("*.pt")), "the checkpoint is gone when the bundle is there"
    return out


def test_the_bundle_says_where_it_is_from(folder: Path, bundle_folder: Path) -> None:
    bundle, dataset = load_bundle(bundle_folder, 32), load_dataset(folder)
    training = bundle.manifest.training
    assert training.synthetic
    assert training.until_ms == dataset.cuts.end_ms
    assert bundle.vocabulary.items_count == 150
    assert bundle.refresh_steps == 4
    assert bundle.manifest.purchase_horizon_ms == 86_400_000
    assert bundle.manifest.metrics["split"] == "test"
    assert "next item, P@10" in bundle.manifest.metrics["tables"]


def test_what_is_measured_is_what_was_served(folder: Path, bundle_folder: Path) -> None:
    bundle, dataset = load_bundle(bundle_folder), load_dataset(folder)
    again = evaluate_on(bundle, dataset, lambda _: None)
    assert again["tables"] == bundle.manifest.metrics["tables"]
    (run,) = served_runs(bundle, dataset, ("test",), exclude_recent=True)
    since_ms, end_ms = dataset.cuts.span_ms("test")
    as_of = run.recorded.rows["as_of_ms"]
    assert since_ms <= as_of.min()
    assert as_of.max() < end_ms
    assert run.recorded.steps["time_ms"].min() < since_ms, "windows reach back, as in service"
    right = run.recorded.scores.next_event.argmax(axis=1) == run.labels.next_type
    known = (run.labels.next_type >= 0) & (run.recorded.rows["late"] == 0)
    model = again["tables"]["next event"]["model"]
    assert model["accuracy"] == pytest.approx(right[known].mean())
    assert run.recorded.scores.next_event.shape == (len(as_of), len(EVENT_TYPES))
    assert np.isfinite(model["log_loss"])


def test_commands_typed_wrongly_say_so_in_one_line(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "is there already" in fails("dataset", *SHOP, "--out", folder)
    assert "give one of --file and --shop" in fails(
        "dataset", *SHOP, "--file", __file__, "--out", out
    )
    assert "are of topics" in fails("dataset", *SHOP, "--as-served", "--out", out)
    assert "not a file that is known" in fails("dataset", "--file", __file__, "--out", out)
    assert "2026-01-31" in fails("dataset", *SHOP, "--test-from", "noon", "--out", out)
    assert "each must be after" in fails(
        "dataset", *SHOP, "--test-from", "2025-01-01", "--out", out
    )
    assert "leave no split" in fails("dataset", *SHOP, "--test-share", "0.95", "--out", out)
    assert "manifest.json" in fails("train", "--dataset", tmp_path, "--out", out)
    assert "no recurrent cell" in fails("train", "--dataset", folder, "--out", out, "--kind", "x")
    assert "no item of train" in fails(
        "train", "--dataset", folder, "--out", out, "--items-min", 99999
    )
    assert "is there already" in fails("train", "--dataset", folder, "--out", folder)
    assert not out.exists()
    assert not list(tmp_path.iterdir())
