"""The manifest of a bundle: what it holds, what it expects, how good it is; form and checks.

Rules of the room: JSON, decoded strictly; a bundle that does not fit is refused with BundleError,
whose message is one line for the person who deploys it. A bundle is a folder:

    manifest.json     this file
    steps.onnx        T steps of the recurrent model, a batch at a time
    heads.onnx        probabilities of a row from its top hidden state and its head features
    items.onnx        a score per known item from the top hidden state
    vocabulary.json   what the model knows by name
    golden.npz        inputs and the outputs that they must give
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import msgspec

from stream.core.features import HEAD_FEATURES
from stream.core.layout import HAZARD_BINS, LAYOUT_VERSION
from stream.model.step_features import DENSE_COUNT, SIDE_COUNT, STEP_FEATURES

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"
FILES: Final = ("steps.onnx", "heads.onnx", "items.onnx", "vocabulary.json", "golden.npz")
FILE_BYTES_MAX: Final = 1 << 30
MANIFEST_BYTES_MAX: Final = 1 << 20
DAY_MS: Final = 86_400_000


class BundleError(ValueError):
    """A bundle cannot be used. The message is one line and says why."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the bundle."""

    sha256: str
    size_bytes: int


class Shapes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Widths of the arrays that go in and out of the graphs."""

    state: int  # floats of (h, c) per user, all layers
    top_first: int  # the top layer's h is state[top_first : top_first + top]
    top: int
    dense: int
    side: int
    head: int
    context: int
    items: int  # V


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the weights come from."""

    synthetic: bool  # true: invented data, says nothing about a real shop
    data: str
    command: str
    seed: int
    users: int
    events: int
    rows: int
    until_ms: int = 0  # event time up to which data were looked at, validation and test included


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, field by field."""

    format: int
    name: str
    model: str  # kind and size of the recurrent model
    layout_version: int
    feature_schema: str  # digest of the feature definitions of this code
    refresh_steps: int  # L
    shapes: Shapes
    hazard_edges_ms: list[int]  # upper edge of each bin of silence
    purchase_horizon_ms: int
    churn_horizon_ms: int  # for which the hazards were checked; the setting decides
    tolerance: float  # largest difference of a score between machines, absolute
    files: dict[str, File]
    calibration: dict[str, Any]  # what was fitted on validation; the graphs hold it already
    metrics: dict[str, Any]  # of the evaluation; see docs/features.md
    training: Training


def feature_schema() -> str:
    """Digest of every feature's name, unit and definition, in order, and of the layout."""
    text = json.dumps([LAYOUT_VERSION, list(STEP_FEATURES), list(HEAD_FEATURES)])
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(data: bytes) -> Manifest:
    """Decode and check a manifest. Raises BundleError."""
    if len(data) > MANIFEST_BYTES_MAX:
        raise BundleError(f"manifest: more than {MANIFEST_BYTES_MAX} bytes")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (ValueError, RecursionError) as error:  # DecodeError, UnicodeDecodeError: ValueErrors
        raise BundleError(f"manifest: {error}") from error
    _check(manifest)
    return manifest


def read_files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Read the files of a bundle, each of which must have its digest. Raises BundleError."""
    contents: dict[str, bytes] = {}
    for name in FILES:
        expected = manifest.files[name]
        if not 0 <= expected.size_bytes <= FILE_BYTES_MAX:
            raise BundleError(f"{name}: {expected.size_bytes} bytes, at most {FILE_BYTES_MAX}")
        try:
            with (folder / name).open("rb") as file:
                data = file.read(expected.size_bytes + 1)
        except OSError as error:
            raise BundleError(f"{name}: {error.strerror}") from error
        if len(data) != expected.size_bytes:
            size = (folder / name).stat().st_size
            raise BundleError(f"{name}: {size} bytes, manifest says {expected.size_bytes}")
        digest = hashlib.sha256(data).hexdigest()
        if digest != expected.sha256:
            raise BundleError(
                f"{name}: sha256 {digest[:12]}..., manifest says {expected.sha256[:12]}..."
            )
        contents[name] = data
    return contents


def version_of(manifest: Manifest) -> str:
    """Name and digest: equal versions are equal files."""
    text = "".join(f"{name}{manifest.files[name].sha256}" for name in FILES)
    return f"{manifest.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def iso_days(duration_ms: int) -> str:
    """ISO 8601 duration in days, or in hours where days are not whole."""
    days, rest = divmod(duration_ms, DAY_MS)
    return f"P{days}D" if not rest else f"PT{duration_ms // 3_600_000}H"


def _check(manifest: Manifest) -> None:
    shapes = manifest.shapes
    edges = manifest.hazard_edges_ms
    here = feature_schema()
    rules = (
        (manifest.format == FORMAT, f"format {manifest.format}, this code reads {FORMAT}"),
        (
            manifest.layout_version == LAYOUT_VERSION,
            f"layout version {manifest.layout_version}, this code has {LAYOUT_VERSION}",
        ),
        (
            manifest.feature_schema == here,
            f"feature schema {manifest.feature_schema[:12]}..., this code has {here[:12]}...",
        ),
        (manifest.refresh_steps >= 1, f"refresh_steps={manifest.refresh_steps} must be positive"),
        (
            len(edges) == HAZARD_BINS and edges == sorted(set(edges)) and edges[0] > 0,
            f"hazard_edges_ms={edges}: {HAZARD_BINS} rising edges are needed",
        ),
        (manifest.purchase_horizon_ms > 0, "purchase_horizon_ms must be positive"),
        (manifest.churn_horizon_ms > 0, "churn_horizon_ms must be positive"),
        (0 < manifest.tolerance < 0.01, f"tolerance={manifest.tolerance} must be 0 to 0.01"),
        (
            shapes.dense == DENSE_COUNT,
            f"{shapes.dense} dense features, this code has {DENSE_COUNT}",
        ),
        (shapes.side == SIDE_COUNT, f"{shapes.side} side features, this code has {SIDE_COUNT}"),
        (
            shapes.head == len(HEAD_FEATURES),
            f"{shapes.head} head features, this code has {len(HEAD_FEATURES)}",
        ),
        (
            shapes.top_first >= 0
            and shapes.top > 0
            and shapes.top_first + shapes.top <= shapes.state,
            f"top h {shapes.top_first} + {shapes.top} lies outside the state of {shapes.state}",
        ),
        (
            sorted(manifest.files) == sorted(FILES),
            f"files {sorted(manifest.files)}, expected {sorted(FILES)}",
        ),
    )
    for holds, rule in rules:
        if not holds:
            raise BundleError(f"manifest: {rule}")
