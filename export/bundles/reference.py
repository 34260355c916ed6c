"""The model in plain numpy, in double precision: the oracle of the ONNX graphs and of torch.

Rules of the room: no cleverness; each line is the formula.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from export.bundles.weights import STATE_PARTS, Cell, Weights, scaled_head
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
    after: list[Doubles] = []
    first = 0
    for cell in weights.cells:
        kept = len(STATE_PARTS[weights.kind]) * cell.hidden
        states = CELLS[weights.kind](cell, x, state[:, first : first + kept].astype(np.float64))
        first += kept
        after += states
        x = states[0]
    return np.concatenate(after, axis=1)


def _lstm(cell: Cell, x: Doubles, state: Doubles) -> tuple[Doubles, ...]:
    h, c = np.split(state, 2, axis=1)
    gates = x @ cell.inputs + h @ cell.recurrent + cell.bias
    enter, leave, keep, new = np.split(gates, 4, axis=1)
    c = _sigmoid(keep) * c + _sigmoid(enter) * np.tanh(new)
    return np.asarray(_sigmoid(leave) * np.tanh(c)), np.asarray(c)


def _gru(cell: Cell, x: Doubles, h: Doubles) -> tuple[Doubles, ...]:
    update_x, reset_x, new_x = np.split(x @ cell.inputs + cell.bias, 3, axis=1)
    if cell.recurrent_bias is None:
        raise ValueError("a GRU cell has a recurrent bias")
    update_h, reset_h, new_h = np.split(h @ cell.recurrent + cell.recurrent_bias, 3, axis=1)
    update = _sigmoid(update_x + update_h)
    new = np.tanh(new_x + _sigmoid(reset_x + reset_h) * new_h)
    return (np.asarray((1 - update) * new + update * h),)


def _rnn(cell: Cell, x: Doubles, h: Doubles) -> tuple[Doubles, ...]:
    return (np.tanh(x @ cell.inputs + h @ cell.recurrent + cell.bias),)


# One step of one layer, by kind: cell, x (B, D), state (B, parts * H) to its parts, h first.
CELLS: Final = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}


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
