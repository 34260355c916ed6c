"""The forecaster's bundle: an ONNX graph, and a manifest with all that is needed to use it.

Rules of the room: a folder with `forecaster.onnx` and `manifest.json`. It is loaded as a service
would load it, on ONNX Runtime alone, and what does not fit is refused with BundleError: digests,
names, shapes and types of the graph, and the golden rows, whose outputs are the reference's. No
torch, no onnx.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import onnxruntime as ort

from export.demand.series import SeriesSet
from export.demand.windows import OUTPUT, Floats, Inputs, inputs_of, recursive_paths
from stream.model.manifest import MANIFEST, BundleError, File, Training

FORMAT: Final = 1
GRAPH: Final = "forecaster.onnx"
_ROWS_MAX: Final = 8192  # a call of the graph

Doubles = np.ndarray[Any, np.dtype[np.float64]]


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows with known outputs."""

    counts: list[list[float]]  # (B, L)
    scale: list[float]
    season_index: list[int]
    expected: list[float]

    def inputs(self) -> Inputs:
        """Give what goes in."""
        return Inputs(
            np.array(self.counts, np.float32),
            np.array(self.scale, np.float32),
            np.array(self.season_index, np.int32),
        )


class ForecasterManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, field by field."""

    format: int
    model: str  # kind and size
    by: str  # item, category or total: what a series is of
    measure: str  # what is counted
    period_ms: int
    period_offset_ms: int  # period p starts at offset + p * period_ms (ms since 1970, UTC)
    season: int  # periods; season_index of period p is p modulo it
    look_back: int  # L
    horizon: int  # H, periods
    interval: float  # nominal share between lower and upper
    error_step: tuple[float, float]  # lower and upper end of the error of one period, in scales
    error_horizon: tuple[float, float]  # the same of the sum of H periods
    scale: dict[str, float]  # series -> standard deviation in the train part
    tolerance: float
    file: File
    golden: Golden
    training: Training


@dataclass(frozen=True, slots=True)
class Forecast:
    """Expected demand of B windows, with the ends of the interval."""

    expected: Doubles  # (B,)
    lower: Doubles
    upper: Doubles


class Forecaster:
    """A loaded bundle."""

    def __init__(self, manifest: ForecasterManifest, graph: bytes) -> None:
        """Check the graph and its golden rows. Raises BundleError."""
        self.manifest = manifest
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(graph, options, ["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no better class
            first = str(error).splitlines()[0]
            raise BundleError(f"{GRAPH}: ONNX Runtime refuses it: {first}") from error
        self._check_form()
        self._check_golden()

    def step(self, inputs: Inputs) -> Floats:
        """Forecast one period each: (B,)."""
        parts = []
        for first in range(0, len(inputs.scale), _ROWS_MAX):
            some = inputs.rows(np.arange(first, min(first + _ROWS_MAX, len(inputs.scale))))
            parts.append(self._session.run([OUTPUT], some._asdict())[0])
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def scales(self, names: list[str]) -> Floats:
        """Give the scales of some series: (S,). Raises BundleError on one that is not known."""
        known = self.manifest.scale
        for name in names:
            if name not in known:
                raise BundleError(f"the forecaster does not know the {self.manifest.by} {name!r}")
        return np.array([known[name] for name in names], np.float32)

    def paths(self, series: SeriesSet, first: int, last: int) -> Doubles:
        """Forecast from the origins `first` to `last` - 1: (S, N, H). See `inputs_of`."""
        manifest = self.manifest
        inputs = inputs_of(
            series.counts,
            self.scales(series.names),
            series.season_index(manifest.season),
            manifest.look_back,
            first,
            last,
        )
        paths = recursive_paths(self.step, inputs, manifest.season, manifest.horizon)
        return paths.reshape(len(series.names), last - first, manifest.horizon)

    def interval(self, expected: Doubles, scale: Floats, *, horizon: bool) -> Forecast:
        """Put the interval around forecasts of one period, or of the sum over the horizon."""
        unit = scale.astype(np.float64)
        low, high = self.manifest.error_horizon if horizon else self.manifest.error_step
        lower = np.maximum(expected + low * unit, 0)
        return Forecast(expected, lower, np.maximum(expected + high * unit, 0))

    def _check_form(self) -> None:
        look_back = self.manifest.look_back
        wanted = {
            "counts": ("tensor(float)", 2),
            "scale": ("tensor(float)", 1),
            "season_index": ("tensor(int32)", 1),
        }
        found = {node.name: (node.type, len(node.shape)) for node in self._session.get_inputs()}
        if found != wanted:
            raise BundleError(f"{GRAPH}: inputs {found}, wanted {wanted}")
        width = next(node.shape[1] for node in self._session.get_inputs() if node.name == "counts")
        if width != look_back:
            raise BundleError(f"{GRAPH}: a look-back of {width}, the manifest says {look_back}")
        outputs = [node.name for node in self._session.get_outputs()]
        if outputs != [OUTPUT]:
            raise BundleError(f"{GRAPH}: outputs {outputs}, wanted {[OUTPUT]}")

    def _check_golden(self) -> None:
        golden, tolerance = self.manifest.golden, self.manifest.tolerance
        columns = (golden.counts, golden.scale, golden.season_index, golden.expected)
        widths = {len(row) for row in golden.counts}
        if len({len(column) for column in columns}) != 1 or widths != {self.manifest.look_back}:
            raise BundleError("golden rows: columns of unequal length, or not of the look-back")
        difference = np.abs(self.step(golden.inputs()) - np.array(golden.expected))
        worst = float((difference / np.array(golden.scale)).max())
        if not worst <= tolerance:
            raise BundleError(
                f"golden rows differ by {worst:.2g} scales, tolerance {tolerance:.2g}"
            )


def load_forecaster(folder: Path) -> Forecaster:
    """Load and check a bundle. Raises BundleError."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=ForecasterManifest)
        graph = (folder / GRAPH).read_bytes()
    except OSError as error:
        raise BundleError(f"{error.filename}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleError(f"{folder / MANIFEST}: {error}") from error
    if manifest.format != FORMAT:
        raise BundleError(
            f"{folder / MANIFEST}: format {manifest.format}, this code reads {FORMAT}"
        )
    if hashlib.sha256(graph).hexdigest() != manifest.file.sha256:
        raise BundleError(f"{folder / GRAPH}: not the file of the manifest (another digest)")
    return Forecaster(manifest, graph)
