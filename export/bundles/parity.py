"""Three implementations of one model must agree: torch, ONNX Runtime, and plain numpy.

Rules of the room: run on real sequences, step by step in ONNX and numpy, in one go in torch, so
that the state's layout is compared too.
"""

import numpy as np
import torch

from export.bundles import reference
from export.bundles.weights import Weights
from export.dataset.record import Integers
from export.dataset.training_set import TrainingSet
from export.models.network import Network
from stream.model.bundle import Bundle
from stream.model.graphs import CPU, OrtGraphs
from stream.model.manifest import BundleError


def check_parity(
    network: Network, weights: Weights, bundle: Bundle, data: TrainingSet, sequences: Integers
) -> float:
    """Return the largest difference of top h and item scores. Raises BundleError above 1e-4.

    The heads are left out: calibration stands between torch and the rest, and the golden batch
    compares them.
    """
    shapes = bundle.manifest.shapes
    graphs = OrtGraphs(bundle.contents, shapes, CPU)
    top_of = slice(shapes.top_first, shapes.top_first + shapes.top)
    largest = 0.0
    for sequence in sequences.tolist():
        at = data.table[sequence, : data.lengths[sequence]]
        with torch.no_grad():
            theirs = network.tops(
                torch.from_numpy(data.inputs.item_id[at]).long()[:, None],
                torch.from_numpy(data.inputs.side_id[at]).long()[:, None],
                torch.from_numpy(data.inputs.dense[at])[:, None],
            )[:, 0]
            items = network.item_logits(theirs).numpy()
        state = np.zeros((1, shapes.state), np.float32)
        exact = np.zeros((1, shapes.state))
        for place, step in enumerate(at.tolist()):
            item = data.inputs.item_id[step : step + 1]
            side = data.inputs.side_id[step : step + 1]
            dense = data.inputs.dense[step : step + 1]
            one = np.ones(1, np.int32)
            tops, state = graphs.steps(item[None], side[None], dense[None], state, one)
            exact = reference.step(weights, item, side, dense, exact)
            top = tops[0]
            differences = (
                np.abs(state - exact).max(),
                np.abs(top - theirs[place].numpy()).max(),
                np.abs(graphs.items(top)[0] - items[place]).max(),
                np.abs(reference.items(weights, exact[:, top_of])[0] - items[place]).max(),
            )
            largest = max(largest, *(float(value) for value in differences))
    if not largest <= bundle.manifest.tolerance:
        raise BundleError(
            f"torch, ONNX and numpy differ by {largest:.2g}, "
            f"tolerance {bundle.manifest.tolerance:.2g}"
        )
    return largest
