"""The data plane's cost beside a fixed piece of numpy and ONNX Runtime work, in one process.

A guard against a slow-down by a factor, not by a tenth: the machine is shared, the margin is wide.
By processor time, best of several rounds on both sides.
"""

import time

import numpy as np
import pytest

from stream.model.bundle import Bundle, load_bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer
from tests.bounds.hot import BATCH_EVENTS, measure

ROUNDS = 3
RATIO_MAX = 18.0  # measured: 6 to 12 (2 cores, other work on them)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


def reference_us(bundle: Bundle) -> float:
    """Cost of what a batch can't do without, per row: an LSTM step, and a sort of its keys."""
    graphs, shapes = open_graphs(bundle, "cpu"), bundle.manifest.shapes
    rows = BATCH_EVENTS
    rng = np.random.default_rng(1)
    item_id = rng.integers(1, shapes.items, (1, rows)).astype(np.int32)
    side_id = np.ones((1, rows, shapes.side), np.int32)
    dense = rng.random((1, rows, shapes.dense)).astype(np.float32)
    state = np.zeros((rows, shapes.state), np.float32)
    lengths = np.ones(rows, np.int32)
    keys = rng.integers(0, 1 << 60, rows)
    best = float("inf")
    for _ in range(1 + ROUNDS * 4):
        began = time.process_time()
        graphs.steps(item_id, side_id, dense, state, lengths)
        np.argsort(keys, kind="stable")
        best = min(best, time.process_time() - began)
    return best / rows * 1e6


def chunks_us(bundle: Bundle) -> float:
    """Cost of an event from bytes to bytes."""
    costs = []
    for _ in range(ROUNDS):
        scorer = OnnxScorer(bundle, open_graphs(bundle, "cpu"), items_top=0)
        costs.append(measure("uniform", 8 * BATCH_EVENTS, scorer).us_per_event)
    return min(costs)


def test_an_event_costs_few_lstm_steps(bundle: Bundle) -> None:
    reference, cost = reference_us(bundle), chunks_us(bundle)
    print(f"{cost:.2f} us an event, reference {reference:.2f} us")
    assert cost < RATIO_MAX * reference, (cost, reference)
