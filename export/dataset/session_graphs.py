"""Windows as graphs: a node for each distinct item, an edge for each step from one to the next.

Rules of the room: numpy on whole arrays. Wu et al., 2019 (SR-GNN), section 3.2: an edge weighs how
often it was taken, divided by how often its node was left (outgoing) or entered (incoming). Steps
without an item share a node of their own.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from export.dataset.record import Integers
from export.dataset.training_set import TrainingSet
from export.dataset.window_features import window_steps

# How two nodes are joined, from the first one's side: bits, but for a node and itself.
APART, ENTERED, LEFT, BOTH, ITSELF = range(5)


class SessionGraphs(NamedTuple):
    """B windows of at most T steps, newest first, and at most N nodes."""

    steps: Integers  # (B, T) index of the step in the data; -1: none
    node: Integers  # (B, T) node of the step; 0 where there is no step
    outgoing: npt.NDArray[np.float32]  # (B, N, N) rows sum to 1, or to 0: never left
    incoming: npt.NDArray[np.float32]  # (B, N, N) rows sum to 1, or to 0: never entered
    joined: Integers  # (B, N, N) APART, ENTERED, LEFT, BOTH, ITSELF
    shares: npt.NDArray[np.float32]  # (B, N, T) 1 / steps of the node for each of its steps


def session_graphs(data: TrainingSet, rows: Integers) -> SessionGraphs:
    """Make the graphs of some rows' windows. Memory: B (T^2 + 4 N^2) numbers."""
    steps = window_steps(data, rows)
    held = steps >= 0
    node, nodes = _number(data.inputs.item_id[np.maximum(steps, 0)], held)
    count = len(rows)
    place = np.arange(count)[:, None] * nodes
    taken = held[:, 1:]
    pair = ((place + node[:, 1:]) * nodes + node[:, :-1])[taken]
    weight = np.bincount(pair, minlength=count * nodes * nodes).reshape(count, nodes, nodes)
    back = weight.transpose(0, 2, 1)
    step = np.zeros((count, nodes, steps.shape[1]), np.float32)
    row, at = np.nonzero(held)
    step[row, node[held], at] = 1
    joined = LEFT * (weight > 0) + ENTERED * (back > 0)
    joined[:, np.arange(nodes), np.arange(nodes)] = ITSELF * step.any(axis=2)
    return SessionGraphs(
        steps, node, _normalised(weight), _normalised(back), joined, _normalised(step)
    )


def _number(item: npt.NDArray[np.int32], held: npt.NDArray[np.bool_]) -> tuple[Integers, int]:
    """Give each window's distinct items numbers from 0: (B, T), and N."""
    same = (item[:, :, None] == item[:, None, :]) & held[:, None, :]
    first = same.argmax(axis=2)
    fresh = held & (first == np.arange(item.shape[1]))
    number = np.cumsum(fresh, axis=1) - 1
    node = np.where(held, np.take_along_axis(number, first, axis=1), 0)
    return node, int(number.max(initial=0)) + 1


def _normalised(weight: npt.NDArray[np.number]) -> npt.NDArray[np.float32]:
    total = weight.sum(axis=2, keepdims=True)
    return np.asarray(weight / np.maximum(total, 1), np.float32)
