"""The three graphs of a bundle as ONNX Runtime sessions: arrays in, arrays out.

Rules of the room: the only file that runs ONNX Runtime. Every option is set here, by name. A
failure of the device is DeviceError, so that the caller may rerun the same inputs elsewhere: graphs
hold no state, (h, c) goes in and comes out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import (
    DeviceReset,
    EngineError,
    EPFail,
    Fail,
    InvalidGraph,
    InvalidProtobuf,
    RuntimeException,
)
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotSupported

from stream.core.layout import EVENT_TYPES, HAZARD_BINS
from stream.model.manifest import BundleError, Shapes

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
PROVIDER_NAMES: Final = {CPU: "cpu", CUDA: "cuda"}
# Batches are padded to these on CUDA, where each new shape costs planning and tuning.
CUDA_BUCKETS: Final = (16, 64, 256, 1024)
_DEVICE_ERRORS: Final = (Fail, RuntimeException, EPFail, EngineError, DeviceReset)

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]


class DeviceError(RuntimeError):
    """The device failed during a run; the inputs are untouched."""


class Graphs(Protocol):
    """The model as functions of arrays. B rows, any number from 1."""

    @property
    def provider(self) -> str:
        """Name the provider: cpu or cuda."""

    def steps(
        self,
        item_id: Integers,  # (T, B)
        side_id: Integers,  # (T, B, 6)
        dense: Floats,  # (T, B, 17)
        state: Floats,  # (B, state) before the first step
        lengths: Integers,  # (B,) steps of each row, 1 to T; what lies behind them is not read
    ) -> tuple[Floats, Floats]:
        """Return the top h after each step (T, B, top) and the last state. Raises DeviceError."""

    def heads(
        self, top: Floats, head: Floats, context_id: Integers
    ) -> tuple[Floats, Floats, Floats]:
        """Return next_event (B, 3), purchase (B,), hazard (B, 8). Raises DeviceError."""

    def items(self, top: Floats) -> Floats:
        """Return a score per known item: (B, V), the caller's to change. Raises DeviceError."""


Arrays = Mapping[str, tuple[str, tuple[str | int, ...]]]  # name -> (ONNX type, shape)


def graph_forms(shapes: Shapes) -> dict[str, tuple[Arrays, Arrays]]:
    """Name the inputs and outputs that each graph must have, in order. T steps, B rows."""
    number, index = "tensor(float)", "tensor(int32)"
    return {
        "steps": (
            {
                "item_id": (index, ("T", "B")),
                "side_id": (index, ("T", "B", shapes.side)),
                "dense": (number, ("T", "B", shapes.dense)),
                "state": (number, ("B", shapes.state)),
                "lengths": (index, ("B",)),
            },
            {
                "tops": (number, ("T", "B", shapes.top)),
                "state_next": (number, ("B", shapes.state)),
            },
        ),
        "heads": (
            {
                "top": (number, ("B", shapes.top)),
                "head": (number, ("B", shapes.head)),
                "context_id": (index, ("B", shapes.context)),
            },
            {
                "next_event": (number, ("B", len(EVENT_TYPES))),
                "purchase": (number, ("B",)),
                "hazard": (number, ("B", HAZARD_BINS)),
            },
        ),
        "items": ({"top": (number, ("B", shapes.top))}, {"logits": (number, ("B", shapes.items))}),
    }


class OrtGraphs:
    """Sessions on one provider. Call from one thread at a time."""

    def __init__(
        self,
        contents: Mapping[str, bytes],
        shapes: Shapes,
        provider: str = CPU,
        *,
        threads: int = 1,
        profile_folder: Path | None = None,
    ) -> None:
        self.provider = PROVIDER_NAMES[provider]
        forms = graph_forms(shapes)
        self._graphs = {
            name: _Graph(
                contents[f"{name}.onnx"], name, forms[name], provider, threads, profile_folder
            )
            for name in forms
        }

    def steps(
        self,
        item_id: Integers,
        side_id: Integers,
        dense: Floats,
        state: Floats,
        lengths: Integers,
    ) -> tuple[Floats, Floats]:
        """Run steps.onnx."""
        tops, after = self._graphs["steps"].run((item_id, side_id, dense, state, lengths))
        return tops, after

    def heads(
        self, top: Floats, head: Floats, context_id: Integers
    ) -> tuple[Floats, Floats, Floats]:
        """Run heads.onnx."""
        next_event, purchase, hazard = self._graphs["heads"].run((top, head, context_id))
        return next_event, purchase, hazard

    def items(self, top: Floats) -> Floats:
        """Run items.onnx."""
        return self._graphs["items"].run((top,))[0]

    def end_profiling(self) -> list[Path]:
        """Close the profiles and name their files."""
        return [Path(graph.session.end_profiling()) for graph in self._graphs.values()]


class _Graph:
    """One session, checked against the form that the code expects."""

    def __init__(
        self,
        data: bytes,
        name: str,
        form: tuple[Arrays, Arrays],
        provider: str,
        threads: int,
        profile_folder: Path | None,
    ) -> None:
        self._inputs = tuple(form[0])
        self._outputs = tuple(form[1])
        self._row_axis = {
            key: shape.index("B") for arrays in form for key, (_, shape) in arrays.items()
        }
        self._on_device = provider == CUDA
        options = _options(threads)
        if profile_folder is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile_folder / name)
        try:
            self.session = ort.InferenceSession(
                data, options, providers=_providers(provider), enable_fallback=0
            )
        except (*_DEVICE_ERRORS, InvalidGraph, InvalidProtobuf, NotSupported) as error:
            raise BundleError(f"{name}.onnx: {_line(error)}") from error
        got = self.session.get_providers()
        if got[0] != provider:
            raise DeviceError(f"{name}.onnx: asked for {provider}, ONNX Runtime gave {got[0]}")
        _check_form(f"{name}.onnx inputs", self.session.get_inputs(), form[0])
        _check_form(f"{name}.onnx outputs", self.session.get_outputs(), form[1])

    def run(self, arrays: tuple[npt.NDArray[Any], ...]) -> list[npt.NDArray[Any]]:
        """Run a batch. Raises DeviceError."""
        try:
            if self._on_device:
                return self._run_bound(arrays)
            feeds = dict(zip(self._inputs, arrays, strict=True))
            outputs: list[npt.NDArray[Any]] = self.session.run(self._outputs, feeds)
        except _DEVICE_ERRORS as error:
            raise DeviceError(_line(error)) from error
        return outputs

    def _run_bound(self, arrays: tuple[npt.NDArray[Any], ...]) -> list[npt.NDArray[Any]]:
        """Run padded batches through I/O binding: host arrays in, host arrays out."""
        rows = len(arrays[-1])
        parts = []
        for first in range(0, rows, CUDA_BUCKETS[-1]):
            binding = self.session.io_binding()
            count = min(rows - first, CUDA_BUCKETS[-1])
            for name, array in zip(self._inputs, arrays, strict=True):
                part = _rows(array, self._row_axis[name], first, count)
                binding.bind_cpu_input(name, padded(part, self._row_axis[name]))
            for name in self._outputs:
                binding.bind_output(name, "cpu")
            self.session.run_with_iobinding(binding)
            outputs = zip(self._outputs, binding.copy_outputs_to_cpu(), strict=True)
            parts.append([_rows(out, self._row_axis[name], 0, count) for name, out in outputs])
        if len(parts) == 1:
            return parts[0]
        columns = zip(self._outputs, zip(*parts, strict=True), strict=True)
        return [np.concatenate(column, axis=self._row_axis[name]) for name, column in columns]


def _rows(array: npt.NDArray[Any], axis: int, first: int, count: int) -> npt.NDArray[Any]:
    return array[(slice(None),) * axis + (slice(first, first + count),)]


def padded(array: npt.NDArray[Any], axis: int = 0) -> npt.NDArray[Any]:
    """Pad with zero rows to the next bucket: at most the largest bucket's rows come in."""
    count = array.shape[axis]
    rows = next(bucket for bucket in CUDA_BUCKETS if bucket >= count)
    if rows == count:
        return np.ascontiguousarray(array)
    full = np.zeros((*array.shape[:axis], rows, *array.shape[axis + 1 :]), array.dtype)
    _rows(full, axis, 0, count)[...] = array
    return full


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = False  # batches differ in size from call to call
    options.log_severity_level = 3
    # Idle threads must not spin: the machine also runs the broker, decoding and encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Denormals stay as they are: "as zero" is set for the thread that makes the session, for good.
    return options


def _providers(provider: str) -> list[Any]:
    if provider == CPU:
        return [(CPU, {"arena_extend_strategy": "kSameAsRequested"})]
    return [
        (
            CUDA,
            {
                "device_id": "0",
                "use_tf32": "0",  # its products have 10 bits: outside the tolerance
                "cudnn_conv_algo_search": "HEURISTIC",
                "arena_extend_strategy": "kSameAsRequested",
            },
        ),
        CPU,
    ]


def _check_form(where: str, nodes: list[Any], expected: Arrays) -> None:
    found = {node.name: (node.type, tuple(node.shape)) for node in nodes}
    if found != dict(expected):
        raise BundleError(f"{where}: {found}, expected {dict(expected)}")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
