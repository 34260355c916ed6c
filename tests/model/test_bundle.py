"""What a bundle must be: every way in which one can be wrong is refused, in one line."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.core.config import EngineConfig
from stream.core.layout import STEP
from stream.model import bundle as bundle_module
from stream.model import manifest as manifest_module
from stream.model import vocabulary as vocabulary_module
from stream.model.bundle import Bundle, load_bundle
from stream.model.golden import check_golden
from stream.model.graphs import CPU, OrtGraphs
from stream.model.manifest import FILES, BundleError, iso_days


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "bundle"))


def change_manifest(copy: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    change(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))


def replace_file(copy: Path, name: str, data: bytes) -> None:
    """Change a file and its digest, as somebody who means it would."""
    (copy / name).write_bytes(data)
    about = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    change_manifest(copy, lambda manifest: manifest["files"].update({name: about}))


def refused(copy: Path, window_steps: int | None = None) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(copy, window_steps)
    message = str(caught.value)
    assert "\n" not in message
    assert str(copy) in message
    return message


def test_a_whole_bundle_is_taken(bundle: Bundle, copy: Path) -> None:
    assert load_bundle(copy, 8).version == bundle.version
    assert bundle.version.startswith("bench-300-")
    assert bundle.refresh_steps == 4
    assert bundle.hazard_edges_ms == EngineConfig().hazard_edges_ms
    assert bundle.purchase_horizon == "P7D"
    assert bundle.item_json[1] == b'"p00000"'
    assert bundle.manifest.training.synthetic


@pytest.mark.parametrize(("window_steps", "fits"), [(7, False), (8, True), (9, True)])
def test_the_window_must_hold_two_refreshes(copy: Path, window_steps: int, fits: bool) -> None:
    if fits:
        load_bundle(copy, window_steps)
    else:
        assert "window_steps=7" in refused(copy, window_steps)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_found(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    assert f"{name}: sha256" in refused(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_cut_or_missing_file_is_found(copy: Path, name: str) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[:-1])
    assert f"{name}: {len(data) - 1} bytes" in refused(copy)
    (copy / name).unlink()
    assert f"{name}: No such file" in refused(copy)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    assert "manifest.json: No such file" in refused(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.update(format=3), "format 3"),
        (lambda m: m.update(layout_version=0), "layout version 0"),
        (lambda m: m.update(feature_schema="0" * 64), "feature schema"),
        (lambda m: m.update(refresh_steps=0), "refresh_steps"),
        (lambda m: m.update(hazard_edges_ms=[1, 2, 3]), "hazard_edges_ms"),
        (lambda m: m["hazard_edges_ms"].reverse(), "hazard_edges_ms"),
        (lambda m: m.update(purchase_horizon_ms=0), "purchase_horizon_ms"),
        (lambda m: m.update(churn_horizon_ms=0), "churn_horizon_ms"),
        (lambda m: m.update(tolerance=0.0), "tolerance"),
        (lambda m: m.update(tolerance=0.5), "tolerance"),
        (lambda m: m["shapes"].update(dense=1), "dense"),
        (lambda m: m["shapes"].update(side=1), "side"),
        (lambda m: m["shapes"].update(head=1), "head"),
        (lambda m: m["shapes"].update(top_first=61), "top h"),
        (lambda m: m["shapes"].update(items=299), "300 items"),
        (lambda m: m["files"].pop("steps.onnx"), "files"),
        (lambda m: m.update(extra=1), "extra"),
        (lambda m: m.pop("training"), "training"),
        (lambda m: m.update(name=5), "name"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    change_manifest(copy, change)
    assert reason in refused(copy)


def test_a_manifest_that_is_no_json_is_refused(copy: Path) -> None:
    (copy / "manifest.json").write_text("{")
    assert "manifest" in refused(copy)


@pytest.mark.parametrize("name", ["vocabulary.json", "golden.npz"])
def test_files_that_are_no_such_files_are_refused(copy: Path, name: str) -> None:
    replace_file(copy, name, b"nonsense")
    assert name.split(".", maxsplit=1)[0] in refused(copy)


@pytest.mark.parametrize("name", ["steps.onnx", "heads.onnx", "items.onnx"])
def test_a_file_that_is_no_graph_is_refused(copy: Path, name: str) -> None:
    replace_file(copy, name, b"nonsense")
    bundle = load_bundle(copy)
    with pytest.raises(BundleError, match=name) as caught:
        OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU)
    assert "\n" not in str(caught.value)


def test_a_graph_of_another_shape_is_refused(copy: Path) -> None:
    change_manifest(copy, lambda manifest: manifest["shapes"].update(state=120))
    bundle = load_bundle(copy)
    with pytest.raises(BundleError, match=r"steps\.onnx inputs"):
        OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU)
    with pytest.raises(BundleError, match=r"heads\.onnx inputs"):
        OrtGraphs(
            bundle.contents | {"heads.onnx": bundle.contents["items.onnx"]},
            load_bundle(bundle.folder).manifest.shapes.__class__(
                **{**_builtins(bundle), "state": 80}
            ),
            CPU,
        )


def _builtins(bundle: Bundle) -> dict[str, int]:
    shapes = bundle.manifest.shapes
    return {name: getattr(shapes, name) for name in shapes.__struct_fields__}


def test_the_golden_batch_holds(bundle: Bundle, graphs: OrtGraphs) -> None:
    assert check_golden(bundle, graphs) < 1e-5


@pytest.mark.parametrize("name", ["state_next", "next_event", "purchase", "hazard", "item_scores"])
@pytest.mark.parametrize("share", [0.9, 1.1])
def test_a_golden_difference_above_the_tolerance_is_refused(
    bundle: Bundle, graphs: OrtGraphs, name: str, share: float
) -> None:
    kept = bundle.golden[name]
    spoiled = kept.copy()
    largest = np.unravel_index(np.argmax(spoiled), spoiled.shape)
    spoiled[largest] += np.float32(share * bundle.manifest.tolerance)
    bundle.golden[name] = spoiled
    try:
        if share < 1:
            check_golden(bundle, graphs)
        else:
            with pytest.raises(BundleError, match=f"{name} differs"):
                check_golden(bundle, graphs)
    finally:
        bundle.golden[name] = kept


@pytest.mark.parametrize("name", ["item_id", "side_id", "dense"])
def test_features_that_are_encoded_otherwise_are_refused(
    bundle: Bundle, graphs: OrtGraphs, name: str
) -> None:
    kept = bundle.golden[name]
    bundle.golden[name] = kept + np.ones((), kept.dtype)
    try:
        with pytest.raises(BundleError, match=f"{name} is encoded differently"):
            check_golden(bundle, graphs)
    finally:
        bundle.golden[name] = kept


def test_golden_arrays_have_a_form(bundle: Bundle) -> None:
    assert bundle.golden["steps"].dtype == STEP
    assert {len(array) for array in bundle.golden.values()} == {len(bundle.golden["steps"])}


@pytest.mark.parametrize(
    ("duration_ms", "text"), [(604_800_000, "P7D"), (86_400_000, "P1D"), (3_600_000, "PT1H")]
)
def test_horizons_are_iso_durations(duration_ms: int, text: str) -> None:
    assert iso_days(duration_ms) == text


class ForgetfulGraphs(OrtGraphs):
    """A device that takes the steps of a window as if each began anew: only one step is right."""

    def steps(self, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        item_id, side_id, dense, state, lengths = arrays
        tops, after = super().steps(*arrays)
        for place in range(1, len(item_id)):
            ones = np.ones_like(lengths)
            parts = [array[place : place + 1] for array in (item_id, side_id, dense)]
            tops[place] = super().steps(*parts, state, ones)[0][0]
        return tops, after


def test_a_device_that_is_right_step_by_step_only_fails_the_golden_batch(bundle: Bundle) -> None:
    check_golden(bundle, OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU))
    with pytest.raises(BundleError, match="a window at once and step by step"):
        check_golden(bundle, ForgetfulGraphs(bundle.contents, bundle.manifest.shapes, CPU))


def golden_arrays(copy: Path) -> dict[str, np.ndarray]:
    with np.load(copy / "golden.npz") as file:
        return {name: file[name] for name in file.files}


def write_golden(copy: Path, arrays: dict[str, np.ndarray]) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    replace_file(copy, "golden.npz", file.getvalue())


@pytest.mark.parametrize(("field", "value"), [("event_type", 3), ("action", 6)])
def test_golden_steps_of_no_known_kind_are_refused(copy: Path, field: str, value: int) -> None:
    """They would be written outside of an array."""
    arrays = golden_arrays(copy)
    arrays["steps"][field][0] = value
    write_golden(copy, arrays)
    assert "no known type or action" in refused(copy)


@pytest.mark.parametrize("name", ["state", "head", "context", "dense", "side_id", "state_next"])
def test_golden_arrays_of_another_width_are_refused(
    copy: Path, graphs: OrtGraphs, name: str
) -> None:
    arrays = golden_arrays(copy)
    arrays[name] = arrays[name][:, :-1]
    write_golden(copy, arrays)
    with pytest.raises(BundleError, match=name):
        check_golden(load_bundle(copy), graphs)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_sizes_have_limits(copy: Path, monkeypatch: pytest.MonkeyPatch, beyond: int) -> None:
    sizes = {name: (copy / name).stat().st_size for name in (*FILES, "manifest.json")}
    inflated = sum(info.file_size for info in zipfile.ZipFile(copy / "golden.npz").infolist())
    rows = load_bundle(copy).vocabulary.texts.token_buckets
    for module, name, size, said in (
        (manifest_module, "FILE_BYTES_MAX", max(sizes[name] for name in FILES), "at most"),
        (manifest_module, "MANIFEST_BYTES_MAX", sizes["manifest.json"], "manifest: "),
        (bundle_module, "GOLDEN_BYTES_MAX", inflated, "inflated, at most"),
        (vocabulary_module, "ROWS_MAX", rows, "token_buckets"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, size - beyond)
            if beyond <= 0:
                load_bundle(copy)
            else:
                assert said in refused(copy)


def test_a_golden_file_that_lies_about_its_size_is_refused(copy: Path) -> None:
    """An array of a petabyte, told in a hundred bytes."""
    arrays = golden_arrays(copy)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array)
            told = content.getvalue().replace(b"'shape': (", b"'shape': (90000000000")
            archive.writestr(f"{name}.npy", told)
    replace_file(copy, "golden.npz", file.getvalue())
    assert "golden.npz" in refused(copy)


@pytest.mark.parametrize("name", ["manifest.json", "vocabulary.json"])
def test_deep_nesting_and_broken_text_are_refused(copy: Path, name: str) -> None:
    for data in (b"[" * 100_000, b'{"name": "\xff"}', b'{"name": "\\ud800"}'):
        if name == "manifest.json":
            (copy / name).write_bytes(data)
            refused(copy)
        else:
            kept = (copy / "manifest.json").read_bytes()
            replace_file(copy, name, data)
            refused(copy)
            (copy / "manifest.json").write_bytes(kept)
