"""The demand network as plain arrays, its ONNX graph, and its reference in double precision.

Rules of the room: numpy and onnx, no torch; the graph is built node by node with the builder of the
worker's bundle, the reference steps the same LSTM cell as the worker's.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from export.bundles.reference import CELLS
from export.bundles.to_onnx import Builder
from export.bundles.weights import Cell
from export.demand.windows import OUTPUT, Floats, Inputs

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DemandWeights:
    """A whole network."""

    cells: list[Cell]
    dense: Floats  # (H,)
    dense_bias: float
    season: int

    @property
    def name(self) -> str:
        """Name kind and size, e.g. `lstm 2x50`."""
        return f"lstm {len(self.cells)}x{self.cells[-1].hidden}"


def season_table(season: int) -> Floats:
    """Sine and cosine of each place in the season: (season, 2); all (0, 1) for a season of 1."""
    turn = 2 * np.pi * np.arange(season) / season
    return np.stack([np.sin(turn), np.cos(turn)], axis=1).astype(np.float32)


def reference(weights: DemandWeights, inputs: Inputs) -> Doubles:
    """Give the expected value of each row, in double precision: (B,)."""
    scale = inputs.scale.astype(np.float64)
    rows, look_back = inputs.counts.shape
    level = inputs.counts.astype(np.float64).mean(axis=1)
    table = season_table(weights.season).astype(np.float64)
    states = [np.zeros((rows, 2 * cell.hidden)) for cell in weights.cells]  # h, c
    top = np.zeros((rows, weights.cells[-1].hidden))
    for step in range(look_back):
        value = (inputs.counts[:, step] - level) / scale
        place = (inputs.season_index + step + 1 - look_back) % weights.season
        x = np.concatenate([value[:, None], table[place]], axis=1)
        for cell, state in zip(weights.cells, states, strict=True):
            x, state[:, cell.hidden :] = CELLS["lstm"](cell, x, state)
            state[:, : cell.hidden] = x
        top = x
    scaled = top @ weights.dense + weights.dense_bias
    return np.asarray(np.maximum(level + scale * scaled, 0))


def to_onnx(weights: DemandWeights, look_back: int) -> bytes:
    """Build the graph: counts (B, L), scale, season_index (B,) to expected (B,)."""
    b = Builder()
    axis_0, axis_1, axis_2 = (b.axes(f"axis_{axis}", axis) for axis in range(3))
    level = b.op("ReduceMean", "counts", axes=[1], keepdims=1)
    values = b.op("Div", b.op("Sub", "counts", level), b.op("Unsqueeze", "scale", axis_1))
    # Offsets from 0 on: the remainder of a negative number is not the same everywhere.
    back = (np.arange(1 - look_back, 1) % weights.season).astype(np.int32)
    place = b.op("Add", b.op("Unsqueeze", "season_index", axis_1), b.constant("back", back))
    place = b.op("Mod", place, b.constant("season", np.array(weights.season, np.int32)))
    rows = b.op("Gather", b.constant("season_rows", season_table(weights.season)), place)
    x = b.op("Concat", b.op("Unsqueeze", values, axis_2), rows, axis=2)
    x = b.op("Transpose", x, perm=[1, 0, 2])  # (L, B, 3)
    for layer, cell in enumerate(weights.cells):
        bias = np.concatenate([cell.bias, np.zeros_like(cell.bias)])
        all_steps, last = f"all{layer}", f"last{layer}"  # (L, 1, B, H), (1, B, H)
        b.op(
            "LSTM",
            x,
            b.constant(f"w{layer}", cell.inputs.T[None]),
            b.constant(f"r{layer}", cell.recurrent.T[None]),
            b.constant(f"b{layer}", bias[None]),
            out=(all_steps, last),
            hidden_size=cell.hidden,
        )
        top = last
        if layer + 1 < len(weights.cells):
            x = b.op("Squeeze", all_steps, axis_1)
    out = b.op(
        "Gemm",
        b.op("Squeeze", top, axis_0),
        b.constant("dense", weights.dense[:, None]),
        b.constant("dense_bias", np.array([weights.dense_bias])),
    )
    scaled = b.op("Mul", b.op("Squeeze", out, axis_1), "scale")
    b.op("Relu", b.op("Add", scaled, b.op("Squeeze", level, axis_1)), out=OUTPUT)
    forms = {"counts": ["B", look_back], "scale": ["B"], "season_index": ["B"]}
    kinds = {"season_index": TensorProto.INT32}
    return b.model(
        "demand",
        [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
            for name, shape in forms.items()
        ],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["B"])],
    )
