"""Cost of scoring, by stage and batch size: `python -m tests.bench.score [BUNDLE]`.

Prints processor time of one thread, best of several rounds, per step or row: what a stage costs
when nothing else wants the core. Rows are as in steady state with L = 16: one in L is rebuilt.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stream.core.features import HEAD_COUNT
from stream.core.layout import STEP
from stream.core.plan import Plan
from stream.model.blocks import plan_blocks
from stream.model.bundle import Bundle, load_bundle
from stream.model.contexts import context_ids
from stream.model.providers import open_graphs
from stream.model.scorer import ITEM_ROWS_MAX, OnnxScorer
from stream.model.selection import leave_out, select_top
from stream.model.step_features import encode_steps
from tests.bench.random_bundle import write_random

POOL_ROWS = 100_000
WINDOW_STEPS = 32
SECONDS_PER_STAGE = 1.0


def plan(bundle: Bundle, rows: int, seed: int = 1) -> Plan:
    """Make a plan of one event per user: most carried on, one in L rebuilt over L + 1 steps."""
    rng = np.random.default_rng(seed)
    refresh = bundle.refresh_steps
    lengths = np.ones(rows, np.int32)
    lengths[: rows // refresh] = refresh + 1
    lengths = rng.permutation(lengths)
    count = int(lengths.sum())
    keys = bundle.vocabulary.item_map.keys
    keys = keys[keys > 0]
    steps = np.zeros(count, STEP)
    steps["item"] = rng.choice(keys, count)
    steps["category"] = rng.integers(1, 2**32, count)
    steps["time_ms"] = 1_767_571_200_000 + rng.integers(0, 10**9, count)
    steps["quantity"] = 1
    pool = rng.permutation(POOL_ROWS)[:rows].astype(np.int32)
    return Plan(
        steps=steps,
        gap_ms=rng.integers(0, 10**7, count),
        segment=np.repeat(np.arange(rows), lengths).astype(np.int32),
        wave=np.concatenate([np.arange(length) for length in lengths]).astype(np.int32),
        pool_in=np.where(lengths > 1, -1, pool).astype(np.int32),
        pool_out=pool,
        row_step=(np.cumsum(lengths) - 1).astype(np.int32),
        head=rng.integers(0, 1000, (rows, HEAD_COUNT)).astype(np.float32),
        context=np.zeros((rows, 3), np.uint32),
        recent=rng.choice(keys, (rows, WINDOW_STEPS)),
        listed=np.ones(rows, bool),
    )


def cost_us(run: Callable[[], object]) -> float:
    """Processor time of a call: the best of the rounds that fit into a second."""
    run()
    best, until = float("inf"), time.monotonic() + SECONDS_PER_STAGE
    while time.monotonic() < until:
        began = time.thread_time()
        run()
        best = min(best, time.thread_time() - began)
    return 1e6 * best


def stages(bundle: Bundle) -> None:
    """Print what each part of scoring costs alone."""
    graphs, shapes = open_graphs(bundle, "cpu"), bundle.manifest.shapes
    made = plan(bundle, 8192)
    blocks = plan_blocks(made)
    inputs = encode_steps(bundle.tables, made.steps, made.gap_ms, blocks.order)
    steps = len(made.steps)
    print(f"layout in blocks    {cost_us(lambda: plan_blocks(made)) / steps:8.2f} us a step")
    encode = cost_us(lambda: encode_steps(bundle.tables, made.steps, made.gap_ms, blocks.order))
    print(f"step features       {encode / steps:8.2f} us a step")
    for length, batch in ((1, 64), (1, 256), (1, 1024), (1, 4096), (1, 8192), (17, 16), (17, 256)):
        state = np.zeros((batch, shapes.state), np.float32)
        count = length * batch
        parts = [array[:count].reshape(length, batch, *array.shape[1:]) for array in inputs]
        lengths = np.full(batch, length, np.int32)
        spent = cost_us(lambda: graphs.steps(*parts, state, lengths))  # noqa: B023 - called at once
        print(f"{length:2d} steps, {batch:5d} rows {spent / count:8.2f} us a step")
    rng = np.random.default_rng(1)
    for batch in (256, 1024, 4096):
        top = rng.standard_normal((batch, shapes.top)).astype(np.float32)
        contexts = context_ids(bundle.vocabulary, made.context[:batch])
        spent = cost_us(lambda: graphs.heads(top, made.head[:batch], contexts))  # noqa: B023
        print(f"heads, {batch:5d}        {spent / batch:8.2f} us a row")
    batch = ITEM_ROWS_MAX
    top = rng.standard_normal((batch, shapes.top)).astype(np.float32)
    logits = graphs.items(top)
    index, score = np.zeros((batch, 10), np.int32), np.zeros((batch, 10), np.float32)
    print(f"items, {batch:5d}        {cost_us(lambda: graphs.items(top)) / batch:8.2f} us a row")
    spent = cost_us(lambda: leave_out(logits, made.recent[:batch], bundle.vocabulary.item_map))
    print(f"recent left out     {spent / batch:8.2f} us a row")
    spent = cost_us(lambda: select_top(logits, index, score))
    print(f"best ten            {spent / batch:8.2f} us a row")


def whole(bundle: Bundle) -> None:
    """Print what scoring a plan costs, without and with the list."""
    graphs = open_graphs(bundle, "cpu")
    for top in (0, 10):
        scorer = OnnxScorer(bundle, graphs, top)
        scorer.open(0, POOL_ROWS)
        for rows in (1, 10, 100, 1000, 8192):
            made = plan(bundle, rows)
            spent = cost_us(lambda: scorer.score(0, made))  # noqa: B023 - called at once
            steps = len(made.steps)
            print(
                f"plan, list of {top:2d}: {rows:5d} rows, {steps:5d} steps {spent:10.0f} us"
                f" {spent / steps:8.2f} a step {spent / rows:8.2f} a row"
            )


def main() -> None:
    """Measure a bundle, or random weights for 2,000, 20,000 and 43,000 items."""
    if len(sys.argv) > 1:
        stages(load_bundle(sys.argv[1]))
        whole(load_bundle(sys.argv[1]))
        return
    for items in (2_000, 20_000, 43_000):
        with tempfile.TemporaryDirectory() as name:
            write_random(Path(name), items)
            bundle = load_bundle(name)
        print(f"-- {items} items, {bundle.manifest.model}, random weights")
        stages(bundle)
        whole(bundle)


if __name__ == "__main__":
    main()
