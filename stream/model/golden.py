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
    return largest


def run_golden(bundle: Bundle, graphs: Graphs) -> dict[str, npt.NDArray[Any]]:
    """Run the three graphs on the golden inputs."""
    golden, shapes = bundle.golden, bundle.manifest.shapes
    state_next = graphs.step(golden["item_id"], golden["side_id"], golden["dense"], golden["state"])
    top = np.ascontiguousarray(state_next[:, shapes.top_first : shapes.top_first + shapes.top])
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
    )
