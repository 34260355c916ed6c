"""OnnxScorer: runs the engine's plans on a bundle's graphs and keeps (h, c) between them.

Rules of the room: one thread at a time. The pools of (h, c) are the only state, and a cache: losing
them costs a rebuild. A plan's pool rows are all read before one is written.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import EVENT_TYPES, HAZARD_BINS, TOKENS_MAX
from stream.core.plan import Plan, Scores
from stream.model.blocks import Blocks, plan_blocks
from stream.model.bundle import Bundle
from stream.model.contexts import context_ids
from stream.model.graphs import Floats, Graphs, Integers
from stream.model.selection import leave_out, select_top
from stream.model.step_features import StepInputs, StepTables, encode_steps

ROWS_MAX: Final = 4096  # per call of the heads
ITEM_ROWS_MAX: Final = 64  # per call of the item graph: scores should not leave the cache
NEVER_KNOWN: Final = 2**31 - 1  # a wave that no segment has


class _Pool:
    """Kept states of one engine. A row is what the engine says it is; all zero at first."""

    __slots__ = ("known", "state")

    def __init__(self, rows: int, width: int) -> None:
        self.state: Floats = np.zeros((rows, width), np.float32)
        self.known: npt.NDArray[np.uint8] = np.zeros(rows, np.uint8)  # 1: see _trace_known


class OnnxScorer:
    """stream.core.plan.Scorer on ONNX graphs."""

    def __init__(self, bundle: Bundle, graphs: Graphs, items_top: int = 10) -> None:
        self.bundle = bundle
        self.graphs = graphs
        self.items_top = min(items_top, bundle.manifest.shapes.items)
        self._pools: dict[int, _Pool] = {}
        self.padded_steps = 0  # of the last plan: computed to fill its blocks, and not read
        shapes = bundle.manifest.shapes
        popular = bundle.vocabulary.popular
        self._popular_score: Floats = np.full(shapes.items, -np.inf, np.float32)
        self._popular_score[popular - 1] = -np.log1p(np.arange(len(popular)))

    @property
    def provider(self) -> str:
        """Name the provider in use: cpu or cuda."""
        return self.graphs.provider

    def open(self, partition: int, hidden_rows: int) -> None:
        """Make the pool of one engine."""
        self._pools[partition] = _Pool(hidden_rows, self.bundle.manifest.shapes.state)

    def close(self, partition: int) -> None:
        """Drop the pool of one engine."""
        del self._pools[partition]

    def score(self, partition: int, plan: Plan) -> Scores:
        """Score the rows of a plan. Cost: see tests/bench/score.py. Raises DeviceError."""
        pool = self._pools[partition]
        blocks = plan_blocks(plan)
        self.padded_steps = len(blocks.order) - len(plan.steps)
        inputs = encode_steps(self.bundle.tables, plan.steps, plan.gap_ms, blocks.order)
        top = self._run_steps(pool, plan, blocks, inputs)
        known = np.empty(len(plan.row_step), np.uint8)
        _trace_known(self.bundle.tables, inputs, blocks, plan, pool.known, known)
        next_event, purchase, hazard = self._run_heads(top, plan)
        index, score, popular = self._run_items(top, known, plan)
        return Scores(next_event, purchase, hazard, index, score, popular)

    def _run_steps(self, pool: _Pool, plan: Plan, blocks: Blocks, inputs: StepInputs) -> Floats:
        """Run the blocks and write the pool; return the top h of each row: (B, top)."""
        before = np.empty((len(blocks.ranked), pool.state.shape[1]), np.float32)
        _gather(pool.state, plan.pool_in, blocks.ranked, before)
        tops = np.empty((len(blocks.order), self.bundle.manifest.shapes.top), np.float32)
        for first, steps, count, rank in blocks.runs.tolist():
            form, places = (steps, count, -1), slice(first, first + steps * count)
            every, after = self.graphs.steps(
                inputs.item_id[places].reshape(form[:2]),
                inputs.side_id[places].reshape(form),
                inputs.dense[places].reshape(form),
                before[rank : rank + count],
                blocks.length[rank : rank + count],
            )
            tops[places] = every.reshape(steps * count, -1)
            _scatter(after, plan.pool_out, blocks.ranked[rank : rank + count], pool.state)
        return tops[blocks.position[plan.row_step]]  # a copy

    def _run_heads(self, top: Floats, plan: Plan) -> tuple[Floats, Floats, Floats]:
        rows = len(top)
        contexts = context_ids(self.bundle.vocabulary, plan.context)
        next_event = np.empty((rows, len(EVENT_TYPES)), np.float32)
        purchase = np.empty(rows, np.float32)
        hazard = np.empty((rows, HAZARD_BINS), np.float32)
        for first in range(0, rows, ROWS_MAX):
            part = slice(first, min(rows, first + ROWS_MAX))
            next_event[part], purchase[part], hazard[part] = self.graphs.heads(
                top[part], plan.head[part], contexts[part]
            )
        return next_event, purchase, hazard

    def _run_items(
        self, top: Floats, known: npt.NDArray[np.uint8], plan: Plan
    ) -> tuple[Integers, Floats, npt.NDArray[np.bool_]]:
        """Choose the best items; users of whom nothing is known get the popular ones.

        Rows that are not listed stay without items.
        """
        index = np.zeros((len(top), self.items_top), np.int32)
        score = np.full((len(top), self.items_top), -np.inf, np.float32)
        popular = (known == 0) & (self.items_top > 0)
        if self.items_top == 0:
            return index, score, popular
        listed = np.flatnonzero(plan.listed)
        best, best_score = index[listed], score[listed]
        for first in range(0, len(listed), ITEM_ROWS_MAX):
            part = slice(first, min(len(listed), first + ITEM_ROWS_MAX))
            rows = listed[part]
            logits = self.graphs.items(top[rows])
            logits[popular[rows]] = self._popular_score
            leave_out(logits, plan.recent[rows], self.bundle.vocabulary.item_map)
            select_top(logits, best[part], best_score[part])
        index[listed], score[listed] = best, best_score
        return index, score, popular


@compiled
def _gather(pool: Floats, pool_in: Integers, ranked: Integers, states: Floats) -> None:
    # Element by element: the compiler makes vectors of it, of a row's slice it makes a call.
    for rank in range(len(ranked)):
        row = pool_in[ranked[rank]]
        if row < 0:
            for column in range(states.shape[1]):
                states[rank, column] = 0.0
        else:
            for column in range(states.shape[1]):
                states[rank, column] = pool[row, column]


@compiled
def _scatter(after: Floats, pool_out: Integers, ranked: Integers, pool: Floats) -> None:
    for rank in range(len(ranked)):
        row = pool_out[ranked[rank]]
        if row >= 0:
            for column in range(pool.shape[1]):
                pool[row, column] = after[rank, column]


@compiled
def _trace_known(
    tables: StepTables,
    inputs: StepInputs,
    blocks: Blocks,
    plan: Plan,
    pool_known: npt.NDArray[np.uint8],
    known: npt.NDArray[np.uint8],  # (B,) out
) -> None:
    """Mark the rows up to which something is known: an item, a category or a query word."""
    since = np.empty(len(plan.pool_in), np.int32)  # wave from which a segment is known
    for segment in range(len(since)):
        row = plan.pool_in[segment]
        since[segment] = 0 if row >= 0 and pool_known[row] else NEVER_KNOWN
    for step in range(len(plan.segment)):
        if plan.wave[step] < since[plan.segment[step]]:
            at = blocks.position[step]
            if _tells(tables, inputs.item_id[at], inputs.side_id[at]):
                since[plan.segment[step]] = plan.wave[step]
    for index in range(len(known)):
        step = plan.row_step[index]
        known[index] = plan.wave[step] >= since[plan.segment[step]]
    for segment in range(len(since)):
        row = plan.pool_out[segment]
        if row >= 0:
            pool_known[row] = since[segment] < NEVER_KNOWN


@compiled
def _tells(tables: StepTables, item: int, side: Integers) -> bool:
    if 1 <= item <= tables.items_count or 1 <= side[0] <= tables.categories_count:
        return True
    for token in range(TOKENS_MAX):  # noqa: SIM110 - a kernel
        if side[2 + token] != tables.token_first:
            return True
    return False
