"""Three implementations of one model must agree: torch, ONNX Runtime, and plain numpy.

Rules of the room: windows of any lengths, each from zero state; step by step in numpy, in one go
in torch, either way in ONNX, so that the state's layout is compared too. ONNX runs them in batches
of random sizes, mixed and padded: neither the batch nor what else is in it may matter.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from export.bundles import reference
from export.bundles.weights import CONTEXT_COUNT, OUTPUTS, Floats, Weights, scaled_head
from export.dataset.record import Integers
from export.dataset.training_set import TrainingSet
from export.models.network import Network
from stream.core.features import HEAD_FEATURES
from stream.core.layout import EVENT_TYPES
from stream.model.bundle import Bundle, table_rows
from stream.model.graphs import CPU, OrtGraphs, padded
from stream.model.manifest import BundleError
from stream.model.step_features import DENSE_COUNT, SIDE_COUNT, StepInputs

BATCH_MAX: Final = 256  # one of the buckets: padding must reach it

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Windows:
    """Q windows of at most T steps, and a row scored at the end of each."""

    inputs: StepInputs  # of all N steps
    table: Integers  # (Q, T) index of each step; -1: the window has ended
    lengths: Integers  # (Q,) from 1
    head: Floats  # (Q, 28) raw
    context: npt.NDArray[np.int32]  # (Q, 3) rows of the context table


@dataclass(frozen=True, slots=True)
class Ends:
    """What one implementation gives after the last step of Q windows."""

    state: Doubles | None  # (Q, state); None: torch does not show it
    top: Doubles  # (Q, H)
    items: Doubles  # (Q, V)
    heads: Doubles  # (Q, 12) next event, purchase, hazard


def random_windows(bundle: Bundle, count: int, seed: int) -> Windows:
    """Draw windows of all lengths from 1 to 2 L, every kind of row in them."""
    rng = np.random.default_rng(seed)
    rows = table_rows(bundle.vocabulary)
    longest = 2 * bundle.refresh_steps
    lengths = 1 + np.arange(count) % longest
    rng.shuffle(lengths)
    steps = int(lengths.sum())
    table = np.full((count, longest), -1)
    table[np.arange(longest) < lengths[:, None]] = np.arange(steps)
    head = np.abs(rng.lognormal(2, 3, (count, len(HEAD_FEATURES)))).round()
    head[:, -4:] = rng.uniform(-1, 1, (count, 4))
    head[::3, 18:21] = -1  # never
    return Windows(
        StepInputs(
            rng.integers(0, rows["items"], steps).astype(np.int32),
            rng.integers(0, rows["side"], (steps, SIDE_COUNT)).astype(np.int32),
            rng.normal(0, 1, (steps, DENSE_COUNT)).astype(np.float32),
        ),
        table,
        lengths,
        head.astype(np.float32),
        rng.integers(0, rows["contexts"], (count, CONTEXT_COUNT)).astype(np.int32),
    )


def compare(
    network: Network, weights: Weights, bundle: Bundle, windows: Windows, seed: int = 1
) -> dict[str, float]:
    """Run all three; return the largest difference of each pair, by name."""
    ends = {
        "torch": run_torch(network, windows),
        "ONNX": run_onnx(bundle, windows, seed),
        "numpy": run_numpy(weights, windows),
    }
    found = {}
    for one, other in (("torch", "ONNX"), ("torch", "numpy"), ("ONNX", "numpy")):
        for name in ("state", "top", "items", "heads"):
            here, there = getattr(ends[one], name), getattr(ends[other], name)
            if here is not None and there is not None:
                found[f"{name}, {one} and {other}"] = float(np.abs(here - there).max())
    return found


def check_parity(
    network: Network, weights: Weights, bundle: Bundle, data: TrainingSet, sequences: Integers
) -> float:
    """Return the largest difference. Raises BundleError above the tolerance, which names it.

    The heads of torch are left out: calibration stands between them and the rest.
    """
    rows = np.zeros((len(sequences), len(HEAD_FEATURES)), np.float32)
    contexts = np.zeros((len(sequences), CONTEXT_COUNT), np.int32)
    windows = Windows(data.inputs, data.table[sequences], data.lengths[sequences], rows, contexts)
    found = compare(network, weights, bundle, windows)
    return largest(
        {name: value for name, value in found.items() if not name.startswith("heads, torch")},
        bundle.manifest.tolerance,
    )


def largest(differences: dict[str, float], tolerance: float) -> float:
    """Return the largest difference. Raises BundleError above the tolerance, or on NaN."""
    name = max(differences, key=lambda key: np.nan_to_num(differences[key], nan=np.inf))
    if not differences[name] <= tolerance:
        raise BundleError(f"{name} differ by {differences[name]:.2g}, tolerance {tolerance:.2g}")
    return differences[name]


def run_torch(network: Network, windows: Windows) -> Ends:
    """Run whole windows, a few hundred at a time."""
    network.eval()
    parts = []
    with torch.no_grad():
        for first in range(0, len(windows.lengths), BATCH_MAX):
            part = slice(first, first + BATCH_MAX)
            lengths = windows.lengths[part]
            at = np.maximum(windows.table[part, : lengths.max()].T, 0)
            out = network.tops(
                torch.from_numpy(windows.inputs.item_id[at]).long(),
                torch.from_numpy(windows.inputs.side_id[at]).long(),
                torch.from_numpy(windows.inputs.dense[at]),
            )
            top = out[lengths - 1, np.arange(len(lengths))]
            head = torch.from_numpy(scaled_head(windows.head[part]).astype(np.float32))
            logits = network.rows(top, head, torch.from_numpy(windows.context[part]).long())
            types = len(EVENT_TYPES)
            chances = torch.cat([logits[:, :types].softmax(1), logits[:, types:].sigmoid()], 1)
            parts.append((top, network.item_logits(top), chances))
    tops, items, heads = (
        np.concatenate([part.numpy().astype(np.float64) for part in column])
        for column in zip(*parts, strict=True)
    )
    return Ends(None, tops, items, heads)


def run_onnx(bundle: Bundle, windows: Windows, seed: int) -> Ends:
    """Run batches of random windows and sizes, some padded; at once, or one step at a time."""
    shapes = bundle.manifest.shapes
    graphs = OrtGraphs(bundle.contents, shapes, CPU)
    rng = np.random.default_rng(seed)
    count = len(windows.lengths)
    state = np.zeros((count, shapes.state), np.float32)
    items = np.zeros((count, shapes.items))
    heads = np.zeros((count, OUTPUTS))
    tops = slice(shapes.top_first, shapes.top_first + shapes.top)
    order = rng.permutation(count)
    first = 0
    while first < count:
        size = int(rng.integers(1, BATCH_MAX + 1))
        part = order[first : first + size]
        pad = padded if rng.random() < 0.5 else _unpadded
        first += size
        longest = int(windows.lengths[part].max())
        stretch = longest if rng.random() < 0.5 else 1  # steps in one call
        for step in range(0, longest, stretch):
            live = part[windows.lengths[part] > step]
            at = np.maximum(windows.table[live, step : step + stretch].T, 0)
            lengths = np.minimum(windows.lengths[live] - step, stretch).astype(np.int32)
            item, side, dense = (pad(array[at], 1) for array in windows.inputs)
            ended = np.maximum(pad(lengths), 1)  # a row of padding has a step as well
            after = graphs.steps(item, side, dense, pad(state[live]), ended)[1]
            state[live] = after[: len(live)]
        top = np.ascontiguousarray(state[part, tops])
        items[part] = graphs.items(pad(top))[: len(part)]
        made = graphs.heads(pad(top), pad(windows.head[part]), pad(windows.context[part]))
        heads[part] = np.column_stack([array[: len(part)] for array in made])
    return Ends(state.astype(np.float64), state[:, tops].astype(np.float64), items, heads)


def _unpadded(array: npt.NDArray[Any], _axis: int = 0) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array)


def run_numpy(weights: Weights, windows: Windows) -> Ends:
    """Run the reference, in double precision."""
    shapes = weights.shapes()
    state = np.zeros((len(windows.lengths), shapes.state))
    for step in range(int(windows.lengths.max())):
        live = np.flatnonzero(windows.lengths > step)
        at = windows.table[live, step]
        item, side, dense = (array[at] for array in windows.inputs)
        state[live] = reference.step(weights, item, side, dense, state[live])
    top = state[:, shapes.top_first : shapes.top_first + shapes.top]
    heads = np.column_stack(reference.heads(weights, top, windows.head, windows.context))
    return Ends(state, top, reference.items(weights, top), heads)
