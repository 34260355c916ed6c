"""Weights out of a bundle's graphs, and a torch network of them: to check a bundle by itself.

Rules of the room: the inverse of to_onnx.py and of Network.weights, by the names used there. What
does not fit is a BundleError that names file, array and shape.
"""

from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from export.bundles.weights import CONTEXT_COUNT, GATES, OUTPUTS, Cell, Floats, Weights
from export.models import CORES
from export.models.network import INPUT_SCALE, Core, Network, Sizes
from stream.core.features import HEAD_FEATURES
from stream.model.bundle import Bundle, table_rows
from stream.model.manifest import BundleError
from stream.model.step_features import DENSE_COUNT, SIDE_COUNT

_KINDS: Final = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}


@dataclass(frozen=True, slots=True)
class _Arrays:
    """The constants of one graph."""

    file: str
    held: dict[str, Any]
    operators: list[str]

    def take(self, name: str, *shape: int) -> Floats:
        """Give an array; -1 in `shape`: any size. Raises BundleError."""
        if name not in self.held:
            raise BundleError(f"{self.file}: constant {name} is missing")
        array: Floats = numpy_helper.to_array(self.held[name])
        fits = len(shape) == array.ndim and all(
            wanted in {-1, size} for wanted, size in zip(shape, array.shape, strict=True)
        )
        if array.dtype != np.float32 or not fits:
            raise BundleError(
                f"{self.file}: constant {name} is {array.dtype} {array.shape}, expected float32 "
                f"{tuple(size if size >= 0 else 'any' for size in shape)}"
            )
        if not np.isfinite(array).all():
            raise BundleError(f"{self.file}: constant {name} holds values that are no numbers")
        return array


def read_weights(bundle: Bundle) -> Weights:
    """Read the weights back. Raises BundleError."""
    step, heads, items = (_arrays(bundle, name) for name in ("steps", "heads", "items"))
    shapes, rows = bundle.manifest.shapes, table_rows(bundle.vocabulary)
    item = step.take("item_table", rows["items"], -1)
    side = step.take("side_table", rows["side"], -1)
    width = item.shape[1]
    mix = step.take("mix", SIDE_COUNT * side.shape[1] + DENSE_COUNT, width)
    kind, cells = _cells(step, width)
    if cells[-1].hidden != shapes.top:
        raise BundleError(f"steps.onnx: top h is {cells[-1].hidden}, manifest says {shapes.top}")
    context = heads.take("context_table", rows["contexts"], -1)
    inputs = shapes.top + len(HEAD_FEATURES) + CONTEXT_COUNT * context.shape[1]
    hidden = heads.take("hidden", inputs, -1)
    scale = heads.take("log_scale", shapes.head) + heads.take("raw_scale", shapes.head)
    weights = Weights(
        item=item,
        side=side,
        mix=mix,
        mix_bias=step.take("mix_b", width),
        cells=cells,
        head_mean=-heads.take("shift", shapes.head) / scale,
        head_std=(1 / scale).astype(np.float32),
        context=context,
        hidden=hidden,
        hidden_bias=heads.take("hb", hidden.shape[1]),
        out=heads.take("out", hidden.shape[1], OUTPUTS),
        out_bias=heads.take("ob", OUTPUTS),
        item_out=items.take("item_out", width, shapes.items).T,
        project=items.take("project", shapes.top, width) if "project" in items.held else None,
        kind=kind,
    )
    if weights.shapes() != shapes:
        raise BundleError(f"shapes of the graphs are {weights.shapes()}, manifest says {shapes}")
    return weights


def network_of(weights: Weights) -> Network:
    """Make a torch network of weights; calibration stays in its last layer."""
    sizes = Sizes(
        item_rows=len(weights.item),
        side_rows=len(weights.side),
        context_rows=len(weights.context),
        items=len(weights.item_out),
        item=weights.item.shape[1],
        side=weights.side.shape[1],
        context=weights.context.shape[1],
        heads=len(weights.hidden_bias),
    )
    width = weights.cells[-1].hidden
    core = CORES[weights.kind](sizes.item, width, len(weights.cells))
    cast("Core", core).take(weights.cells)
    network = Network(core, width, sizes, 0.0)
    for parameter, value in (
        (network.item.weight, weights.item / INPUT_SCALE),
        (network.side.weight, weights.side),
        (network.context.weight, weights.context),
        (network.head_mean, weights.head_mean),
        (network.head_std, weights.head_std),
    ):
        _put(parameter, value)
    for layer, matrix, bias in (
        (network.mix, weights.mix, weights.mix_bias),
        (network.hidden, weights.hidden, weights.hidden_bias),
        (network.out, weights.out, weights.out_bias),
    ):
        _put(layer.weight, matrix.T)
        _put(layer.bias, bias)
    if network.project is not None and weights.project is not None:
        _put(network.project.weight, weights.project.T)
    return network.eval()


def _put(parameter: Tensor, value: Floats) -> None:
    parameter.data.copy_(torch.from_numpy(np.array(value, np.float32)))


def _arrays(bundle: Bundle, name: str) -> _Arrays:
    file = f"{name}.onnx"
    try:
        graph = onnx.load_from_string(bundle.contents[file]).graph
    except Exception as error:  # protobuf raises whatever the broken bytes lead it to
        raise BundleError(f"{file}: {type(error).__name__}: no ONNX graph") from error
    held = {constant.name: constant for constant in graph.initializer}
    return _Arrays(file, held, [node.op_type for node in graph.node])


def _cells(step: _Arrays, width: int) -> tuple[str, list[Cell]]:
    found = [_KINDS[name] for name in step.operators if name in _KINDS]
    if len(set(found)) != 1:
        raise BundleError(f"steps.onnx: recurrent layers {found}, expected some of one kind")
    kind = found[0]
    gates = len(GATES[kind])
    cells = []
    for layer in range(len(found)):
        recurrent = step.take(f"r{layer}", 1, -1, -1)[0].T
        hidden = recurrent.shape[0]
        inputs = step.take(f"w{layer}", 1, gates * hidden, width)[0].T
        bias, second = np.split(step.take(f"b{layer}", 1, 2 * gates * hidden)[0], 2)
        gru = kind == "gru"
        cells.append(
            Cell(inputs, recurrent, bias if gru else bias + second, second if gru else None)
        )
        width = hidden
    return kind, cells
