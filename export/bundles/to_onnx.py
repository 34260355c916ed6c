"""Weights to the three ONNX graphs, node by node.

Rules of the room: hand-built, so that names, types and the order of the state are exactly those of
stream/model/graphs.py, whatever torch's exporter does in its next version. Opset 17.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.bundles.weights import (
    CONTEXT_COUNT,
    HEAD_LOG,
    NEVER_WEIGHT,
    STATE_PARTS,
    Cell,
    Weights,
)
from stream.core.layout import EVENT_TYPES, HAZARD_BINS
from stream.model.graphs import graph_forms

OPSET: Final = 17
IR_VERSION: Final = 8
_TYPES: Final = {"tensor(float)": TensorProto.FLOAT, "tensor(int32)": TensorProto.INT32}


class Builder:
    """Collects nodes and constants; each call of `op` returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def op(
        self, kind: str, *inputs: str, out: str | tuple[str, ...] = "", **attributes: Any
    ) -> str:
        """Add a node; the first output's name comes back."""
        outputs = (out,) if isinstance(out, str) and out else out or (f"v{len(self.nodes)}",)
        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), **attributes))
        return outputs[0]

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Add an initialiser."""
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def axes(self, name: str, *values: int) -> str:
        """Add a constant of int64."""
        return self.constant(name, np.array(values, np.int64))

    def model(self, name: str, inputs: list[Any], outputs: list[Any]) -> bytes:
        """Give the checked file of what was collected; the same nodes give the same bytes."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="forecart"
        )
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        data: bytes = model.SerializeToString(deterministic=True)
        return data


def to_onnx(weights: Weights) -> dict[str, bytes]:
    """Build steps, heads and items.onnx. Raises ValueError on a kind without a builder."""
    if weights.kind not in CELLS:
        raise ValueError(f"no ONNX builder for a recurrent model of kind {weights.kind!r}")
    forms = graph_forms(weights.shapes())
    builders = {"steps": _steps(weights), "heads": _heads(weights), "items": _items(weights)}
    files = {}
    for name, builder in builders.items():
        inputs, outputs = forms[name]
        files[f"{name}.onnx"] = builder.model(
            name,
            [_value(key, *form) for key, form in inputs.items()],
            [_value(key, *form) for key, form in outputs.items()],
        )
    return files


def _value(name: str, kind: str, shape: tuple[str | int, ...]) -> Any:
    return helper.make_tensor_value_info(name, _TYPES[kind], list(shape))


def _steps(weights: Weights) -> Builder:
    b = Builder()
    item = b.op("Gather", b.constant("item_table", weights.item), "item_id")  # (T, B, E)
    side = b.op("Gather", b.constant("side_table", weights.side), "side_id")
    # Flat rows times one matrix: half the cost of summing rows of full width.
    dense_width = weights.shapes().dense
    flat = b.op("Reshape", side, b.axes("flat_side", -1, weights.mix.shape[0] - dense_width))
    dense = b.op("Reshape", "dense", b.axes("flat_dense", -1, dense_width))
    mixed = b.op("Concat", flat, dense, axis=1)
    x = b.op("Gemm", mixed, b.constant("mix", weights.mix), b.constant("mix_b", weights.mix_bias))
    x = b.op("Add", b.op("Reshape", x, b.op("Shape", item)), item)
    kept = STATE_PARTS[weights.kind]
    parts = [f"{part}{layer}" for layer in range(len(weights.cells)) for part in kept]
    sizes = [cell.hidden for cell in weights.cells for _ in kept]
    b.op("Split", "state", b.axes("state_parts", *sizes), out=tuple(parts), axis=1)
    b.axes("axis_0", 0)
    b.axes("axis_1", 1)
    after = []
    for layer, cell in enumerate(weights.cells):
        every, *states = CELLS[weights.kind](b, layer, cell, x)
        last = layer == len(weights.cells) - 1
        x = b.op("Squeeze", every, "axis_1", out="tops" if last else "")  # of one direction
        after += [b.op("Squeeze", state, "axis_0") for state in states]
    b.op("Concat", *after, out="state_next", axis=1)
    return b


def _lstm(b: Builder, layer: int, cell: Cell, x: str) -> tuple[str, ...]:
    """Return h of every step (T, 1, B, H), and h and c of the last: (1, B, H)."""
    y, h, c = f"y{layer}", f"h{layer}_next", f"c{layer}_next"
    before = [b.op("Unsqueeze", f"{part}{layer}", "axis_0") for part in ("h", "c")]
    arrays = _cell_arrays(b, layer, cell)
    b.op("LSTM", x, *arrays, "lengths", *before, out=(y, h, c), hidden_size=cell.hidden)
    return y, h, c


def _gru(b: Builder, layer: int, cell: Cell, x: str) -> tuple[str, ...]:
    """As for the RNN; the reset gate acts on U h + b, as in torch and cuDNN."""
    y, h = f"y{layer}", f"h{layer}_next"
    before = b.op("Unsqueeze", f"h{layer}", "axis_0")
    arrays = _cell_arrays(b, layer, cell)
    b.op(
        "GRU",
        x,
        *arrays,
        "lengths",
        before,
        out=(y, h),
        hidden_size=cell.hidden,
        linear_before_reset=1,
    )
    return y, h


def _rnn(b: Builder, layer: int, cell: Cell, x: str) -> tuple[str, ...]:
    """Return h of every step, and of the last."""
    y, h = f"y{layer}", f"h{layer}_next"
    before = b.op("Unsqueeze", f"h{layer}", "axis_0")
    arrays = _cell_arrays(b, layer, cell)
    b.op("RNN", x, *arrays, "lengths", before, out=(y, h), hidden_size=cell.hidden)
    return y, h


def _cell_arrays(b: Builder, layer: int, cell: Cell) -> tuple[str, str, str]:
    recurrent = cell.recurrent_bias
    second = np.zeros_like(cell.bias) if recurrent is None else recurrent
    return (
        b.constant(f"w{layer}", cell.inputs.T[None]),
        b.constant(f"r{layer}", cell.recurrent.T[None]),
        b.constant(f"b{layer}", np.concatenate([cell.bias, second])[None]),
    )


CELLS: Final[dict[str, Callable[[Builder, int, Cell, str], tuple[str, ...]]]] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn": _rnn,
}


def _heads(weights: Weights) -> Builder:
    b = Builder()
    std = weights.head_std.astype(np.float64)
    positive = b.op("Relu", "head")
    logs = b.op("Log", b.op("Add", positive, b.constant("one", np.ones(1))))
    below = b.op("Sub", "head", positive)
    terms = (
        b.op("Mul", logs, b.constant("log_scale", HEAD_LOG / std)),
        b.op("Mul", "head", b.constant("raw_scale", ~HEAD_LOG / std)),
        b.op("Mul", below, b.constant("never_scale", NEVER_WEIGHT * HEAD_LOG / std)),
    )
    scaled = b.op("Add", terms[0], b.constant("shift", -weights.head_mean / std))
    scaled = b.op("Add", b.op("Add", scaled, terms[1]), terms[2])
    context = b.op("Gather", b.constant("context_table", weights.context), "context_id")
    width = CONTEXT_COUNT * weights.context.shape[1]
    context = b.op("Reshape", context, b.axes("flat", -1, width))
    inputs = b.op("Concat", "top", scaled, context, axis=1)
    hidden = b.op(
        "Gemm", inputs, b.constant("hidden", weights.hidden), b.constant("hb", weights.hidden_bias)
    )
    out = b.op(
        "Gemm",
        b.op("Relu", hidden),
        b.constant("out", weights.out),
        b.constant("ob", weights.out_bias),
    )
    parts = b.axes("parts", len(EVENT_TYPES), 1, HAZARD_BINS)
    b.op("Split", out, parts, out=("type_logits", "purchase_logit", "hazard_logits"), axis=1)
    b.op("Softmax", "type_logits", out="next_event", axis=1)
    purchase = b.op("Sigmoid", "purchase_logit")
    b.op("Squeeze", purchase, b.axes("axis_1", 1), out="purchase")
    b.op("Sigmoid", "hazard_logits", out="hazard")
    return b


def _items(weights: Weights) -> Builder:
    b = Builder()
    x = "top"
    if weights.project is not None:
        x = b.op("MatMul", x, b.constant("project", weights.project))
    norm = b.op("ReduceL2", x, axes=[1], keepdims=1)
    norm = b.op("Max", norm, b.constant("least", np.full(1, 1e-6)))
    x = b.op("Div", x, norm)
    b.op("MatMul", x, b.constant("item_out", weights.item_out.T), out="logits")
    return b
