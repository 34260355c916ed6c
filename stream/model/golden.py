"""The golden batch: known inputs, and the outputs that a device must give before it is trusted.

Rules of the room: run at start on every device in use. Encoded features must be equal; scores may
differ by the manifest's tolerance. Item scores are compared as values: ties may change places.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.plan import Plan
from stream.model.bundle import Bundle
from stream.model.contexts import context_ids
from stream.model.graphs import Graphs
from stream.model.manifest import BundleError
from stream.model.selection import select_top
from stream.model.step_features import encode_steps


def check_golden(bundle: Bundle, graphs: Graphs) -> float:
    """Run the batch; return the largest difference. Raises BundleError above the tolerance."""
    golden = bundle.golden
    _check_widths(bundle)
    order = np.arange(len(golden["steps"]), dtype=np.int32)
    encoded = encode_steps(bundle.tables, golden["steps"], golden["gap_ms"], order)
    for name, array in encoded._asdict().items():
        if not np.allclose(array, golden[name], rtol=0, atol=1e-6):
            raise BundleError(f"golden batch: {name} is encoded differently by this code")
    outputs = run_golden(bundle, graphs)
    largest = 0.0
    for name, array in outputs.items():
        if array.shape != golden[name].shape:
            raise BundleError(
                f"golden batch on {graphs.provider}: {name} is {array.shape}, "
                f"expected {golden[name].shape}"
            )
        difference = float(np.abs(array - golden[name]).max())
        if not difference <= bundle.manifest.tolerance:  # also refuses NaN
            raise BundleError(
                f"golden batch on {graphs.provider}: {name} differs by {difference:.2g}, "
                f"tolerance {bundle.manifest.tolerance:.2g}"
            )
        largest = max(largest, difference)
    return max(largest, _check_window(bundle, graphs))


def _check_widths(bundle: Bundle) -> None:
    """Refuse arrays that the graphs, or the encoding beside them, would not take."""
    shapes = bundle.manifest.shapes
    widths = {
        "side_id": shapes.side, "dense": shapes.dense, "state": shapes.state,
        "state_next": shapes.state, "head": shapes.head, "context": shapes.context,
    }  # fmt: skip
    for name, width in widths.items():
        shape = bundle.golden[name].shape
        if shape[1] != width:
            raise BundleError(f"golden batch: {name} is {shape}, the manifest says {width} wide")


def _check_window(bundle: Bundle, graphs: Graphs) -> float:
    """Run the steps as two windows of unlike length, in one go and one by one: they must agree."""
    golden = bundle.golden
    count = len(golden["steps"])
    lengths = np.array([count, (count + 1) // 2], np.int32)
    item_id, side_id, dense = (
        np.repeat(golden[name][:, None], 2, axis=1) for name in ("item_id", "side_id", "dense")
    )
    start = np.repeat(golden["state"][:1], 2, axis=0)
    tops, state = graphs.steps(item_id, side_id, dense, start, lengths)
    carried = start
    largest = 0.0
    for place in range(count):
        live = lengths > place
        rows = int(live.sum())
        one, two, three = (
            np.ascontiguousarray(array[place : place + 1, :rows])
            for array in (item_id, side_id, dense)
        )
        top, carried = graphs.steps(one, two, three, carried[:rows], np.ones(rows, np.int32))
        differences = [np.abs(top[0] - tops[place, live]).max()]
        ended = np.flatnonzero(lengths == place + 1)
        differences += [np.abs(carried[row] - state[row]).max() for row in ended]
        largest = max(largest, *(float(value) for value in differences))
    if not largest <= bundle.manifest.tolerance:
        raise BundleError(
            f"golden batch on {graphs.provider}: a window at once and step by step differ by "
            f"{largest:.2g}, tolerance {bundle.manifest.tolerance:.2g}"
        )
    return largest


def run_golden(bundle: Bundle, graphs: Graphs) -> dict[str, npt.NDArray[Any]]:
    """Run the three graphs on the golden inputs."""
    golden = bundle.golden
    inputs = [golden[name] for name in ("item_id", "side_id", "dense")]
    ones = np.ones(len(golden["steps"]), np.int32)
    item_id, side_id, dense = (array[None] for array in inputs)
    tops, state_next = graphs.steps(item_id, side_id, dense, golden["state"], ones)
    top = tops[0]
    contexts = context_ids(bundle.vocabulary, golden["context"])
    next_event, purchase, hazard = graphs.heads(top, golden["head"], contexts)
    wanted = golden["item_scores"].shape
    index, score = np.zeros(wanted, np.int32), np.zeros(wanted, np.float32)
    select_top(graphs.items(top), index, score)
    return {
        "state_next": state_next,
        "next_event": next_event,
        "purchase": purchase,
        "hazard": hazard,
        "item_scores": score,
    }


def golden_plan(bundle: Bundle) -> Plan:
    """Plan the golden steps as users of one step each, so that any model may run them."""
    golden = bundle.golden
    rows = len(golden["steps"])
    order, none = np.arange(rows, dtype=np.int32), np.full(rows, -1, np.int32)
    return Plan(
        steps=golden["steps"],
        gap_ms=np.full(rows, -1, np.int64),
        segment=order,
        wave=np.zeros(rows, np.int32),
        pool_in=none,
        pool_out=none,
        row_step=order,
        head=golden["head"],
        context=golden["context"],
        recent=np.zeros((rows, 0), np.uint64),
        listed=np.ones(rows, bool),
    )
