"""The model in plain numpy, in double precision: the oracle of the ONNX graphs and of torch.

Rules of the room: no cleverness; each line is the formula.
"""

import numpy as np
import numpy.typing as npt

from export.bundles.weights import Cell, Weights, scaled_head
from stream.core.layout import EVENT_TYPES

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]


def step(
    weights: Weights,
    item_id: Integers,
    side_id: Integers,
    dense: npt.NDArray[np.float32],
    state: npt.NDArray[np.float32] | Doubles,
) -> Doubles:
    """One step: (B, state) to (B, state)."""
    side = weights.side[side_id].reshape(len(item_id), -1).astype(np.float64)
    x = weights.item[item_id] + np.concatenate([side, dense], axis=1) @ weights.mix
    x = x + weights.mix_bias
    after = []
    first = 0
    for cell in weights.cells:
        size = cell.hidden
        h = state[:, first : first + size].astype(np.float64)
        c = state[:, first + size : first + 2 * size].astype(np.float64)
        first += 2 * size
        h, c = lstm_cell(cell, x, h, c)
        after += [h, c]
        x = h
    return np.concatenate(after, axis=1)


def lstm_cell(cell: Cell, x: Doubles, h: Doubles, c: Doubles) -> tuple[Doubles, Doubles]:
    """One step of one layer: x (B, D), h and c (B, H) to the next h and c."""
    gates = x @ cell.inputs + h @ cell.recurrent + cell.bias
    enter, leave, keep, new = np.split(gates, 4, axis=1)
    c = _sigmoid(keep) * c + _sigmoid(enter) * np.tanh(new)
    return np.asarray(_sigmoid(leave) * np.tanh(c)), np.asarray(c)


def heads(
    weights: Weights,
    top: npt.NDArray[np.float32] | Doubles,
    head: npt.NDArray[np.float32],
    context_id: Integers,
) -> tuple[Doubles, Doubles, Doubles]:
    """Return next_event (B, 3), purchase (B,), hazard (B, 8)."""
    scaled = (scaled_head(head) - weights.head_mean) / weights.head_std
    context = weights.context[context_id].reshape(len(top), -1)
    inputs = np.concatenate([top, scaled, context], axis=1)
    hidden = np.maximum(inputs @ weights.hidden + weights.hidden_bias, 0)
    out = hidden @ weights.out + weights.out_bias
    types = len(EVENT_TYPES)
    shifted = np.exp(out[:, :types] - out[:, :types].max(axis=1, keepdims=True))
    next_event = shifted / shifted.sum(axis=1, keepdims=True)
    rest = _sigmoid(out[:, types:])
    return next_event, rest[:, 0], rest[:, 1:]


def items(weights: Weights, top: npt.NDArray[np.float32] | Doubles) -> Doubles:
    """Return a score per known item: (B, V)."""
    out = top.astype(np.float64)
    if weights.project is not None:
        out = out @ weights.project
    out = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    return np.asarray(out @ weights.item_out.T.astype(np.float64))


def _sigmoid(x: Doubles) -> Doubles:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))
