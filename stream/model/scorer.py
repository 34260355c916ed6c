"""OnnxScorer: runs the engine's plans on a bundle's graphs and keeps (h, c) between them.

Rules of the room: one thread at a time. The pools of (h, c) are the only state, and a cache: losing
them costs a rebuild. A plan's pool rows are all read before one is written.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import EVENT_TYPES, HAZARD_BINS, TOKENS_MAX
from stream.core.plan import Plan, Scores, join_plans, split_scores
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


class _Share(NamedTuple):
    """The segments of a joined plan that are one pool's."""

    pool: _Pool
    first: int
    end: int


class OnnxScorer:
    """stream.core.plan.JointScorer on ONNX graphs."""

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
        return self.score_together([(partition, plan)])[0]

    def score_together(self, parts: Sequence[tuple[int, Plan]]) -> list[Scores]:
        """Score plans of several pools in one call of each graph. Raises DeviceError."""
        plans = [plan for _, plan in parts]
        plan = join_plans(plans)
        shares = self._shares(parts)
        blocks = plan_blocks(plan)
        self.padded_steps = len(blocks.order) - len(plan.steps)
        inputs = encode_steps(self.bundle.tables, plan.steps, plan.gap_ms, blocks.order)
        top = self._run_steps(shares, plan, blocks, inputs)
        known = self._trace_known(shares, plan, blocks, inputs)
        next_event, purchase, hazard = self._run_heads(top, plan)
        index, score, popular = self._run_items(top, known, plan)
        return split_scores(Scores(next_event, purchase, hazard, index, score, popular), plans)

    def _shares(self, parts: Sequence[tuple[int, Plan]]) -> list[_Share]:
        """Say which segments of the joined plan are whose."""
        shares, first = [], 0
        for partition, plan in parts:
            end = first + len(plan.pool_in)
            shares.append(_Share(self._pools[partition], first, end))
            first = end
        return shares

    def _run_steps(
        self, shares: Sequence[_Share], plan: Plan, blocks: Blocks, inputs: StepInputs
    ) -> Floats:
        """Run the blocks and write the pools; return the top h of each row: (B, top)."""
        width = self.bundle.manifest.shapes.state
        before = np.empty((len(blocks.ranked), width), np.float32)
        for share in shares:
            _gather(share.pool.state, plan.pool_in, blocks.ranked, share.first, share.end, before)
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
            ranked = blocks.ranked[rank : rank + count]
            for share in shares:
                _scatter(after, plan.pool_out, ranked, share.first, share.end, share.pool.state)
        return tops[blocks.position[plan.row_step]]  # a copy

    def _trace_known(
        self, shares: Sequence[_Share], plan: Plan, blocks: Blocks, inputs: StepInputs
    ) -> npt.NDArray[np.uint8]:
        """Mark (B,) the rows up to which something is known, and the states that are kept."""
        known = np.empty(len(plan.row_step), np.uint8)
        since = np.empty(len(plan.pool_in), np.int32)  # wave from which a segment is known
        for share in shares:
            part = slice(share.first, share.end)
            _start_known(share.pool.known, plan.pool_in[part], since[part])
        _trace_known(self.bundle.tables, inputs, blocks, plan, since, known)
        for share in shares:
            part = slice(share.first, share.end)
            _keep_known(since[part], plan.pool_out[part], share.pool.known)
        return known

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
def _gather(
    pool: Floats, pool_in: Integers, ranked: Integers, first: int, end: int, states: Floats
) -> None:
    # Element by element: the compiler makes vectors of it, of a row's slice it makes a call.
    for rank in range(len(ranked)):
        if not first <= ranked[rank] < end:
            continue
        row = pool_in[ranked[rank]]
        if row < 0:
            for column in range(states.shape[1]):
                states[rank, column] = 0.0
        else:
            for column in range(states.shape[1]):
                states[rank, column] = pool[row, column]


@compiled
def _scatter(
    after: Floats, pool_out: Integers, ranked: Integers, first: int, end: int, pool: Floats
) -> None:
    for rank in range(len(ranked)):
        if not first <= ranked[rank] < end:
            continue
        row = pool_out[ranked[rank]]
        if row >= 0:
            for column in range(pool.shape[1]):
                pool[row, column] = after[rank, column]


@compiled
def _start_known(pool_known: npt.NDArray[np.uint8], pool_in: Integers, since: Integers) -> None:
    for segment in range(len(since)):
        row = pool_in[segment]
        since[segment] = 0 if row >= 0 and pool_known[row] else NEVER_KNOWN


@compiled
def _trace_known(
    tables: StepTables,
    inputs: StepInputs,
    blocks: Blocks,
    plan: Plan,
    since: npt.NDArray[np.int32],  # (S,) wave from which a segment is known; changed
    known: npt.NDArray[np.uint8],  # (B,) out
) -> None:
    """Mark the rows up to which something is known: an item, a category or a query word."""
    for step in range(len(plan.segment)):
        if plan.wave[step] < since[plan.segment[step]]:
            at = blocks.position[step]
            if _tells(tables, inputs.item_id[at], inputs.side_id[at]):
                since[plan.segment[step]] = plan.wave[step]
    for index in range(len(known)):
        step = plan.row_step[index]
        known[index] = plan.wave[step] >= since[plan.segment[step]]


@compiled
def _keep_known(since: Integers, pool_out: Integers, pool_known: npt.NDArray[np.uint8]) -> None:
    for segment in range(len(since)):
        row = pool_out[segment]
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
