"""OnnxScorer: runs the engine's plans on a bundle's graphs and keeps (h, c) between them.

Rules of the room: one thread at a time. The pools of (h, c) are the only state, and a cache: losing
them costs a rebuild. A plan's pool rows are all read before one is written.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled, compiled_short
from stream.core.layout import EVENT_TYPES, HAZARD_BINS, TOKENS_MAX
from stream.core.plan import Plan, Scores
from stream.model.bundle import Bundle
from stream.model.contexts import context_ids
from stream.model.graphs import Floats, Graphs, Integers
from stream.model.selection import leave_out, select_top
from stream.model.step_features import StepInputs, StepTables, encode_steps
from stream.model.waves import Waves, plan_waves

ROWS_MAX: Final = 1024  # per call of the heads
ITEM_ROWS_MAX: Final = 64  # per call of the item graph: scores should not leave the cache


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
        shapes = bundle.manifest.shapes
        self._top = slice(shapes.top_first, shapes.top_first + shapes.top)
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
        waves = plan_waves(plan)
        inputs = encode_steps(self.bundle.tables, plan.steps, plan.gap_ms, waves.order)
        tops = self._run_steps(pool, plan, waves, inputs)
        known = np.empty(len(waves.order), np.uint8)
        _trace_known(
            self.bundle.tables, inputs, waves, plan.pool_in, plan.pool_out, pool.known, known
        )
        place = waves.position[plan.row_step]
        top = tops[place]  # (B, top) float32, copy
        next_event, purchase, hazard = self._run_heads(top, plan)
        index, score, popular = self._run_items(top, known[place], plan.recent)
        return Scores(next_event, purchase, hazard, index, score, popular)

    def _run_steps(self, pool: _Pool, plan: Plan, waves: Waves, inputs: StepInputs) -> Floats:
        """Run the waves and write the pool; return the top h after each step, in waves' order."""
        states = np.empty((len(waves.ranked), pool.state.shape[1]), np.float32)
        _gather(pool.state, plan.pool_in, waves.ranked, states)
        tops = np.empty((len(waves.order), self._top.stop - self._top.start), np.float32)
        runs = waves.runs.tolist()
        after = states
        for number, (first, count, rank, wave) in enumerate(runs):
            end = first + count
            before = states[rank : rank + count] if wave == 0 else after[:count]
            after = self.graphs.step(
                inputs.item_id[first:end],
                inputs.side_id[first:end],
                inputs.dense[first:end],
                before,
            )
            last = number + 1 == len(runs) or runs[number + 1][3] == 0
            live = 0 if last else runs[number + 1][1]
            _scatter(after, plan.pool_out, waves.ranked, rank, live, count, pool.state)
            _copy_tops(after, self._top.start, tops[first:end])
        return tops

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
        self, top: Floats, known: npt.NDArray[np.uint8], recent: npt.NDArray[np.uint64]
    ) -> tuple[Integers, Floats, npt.NDArray[np.bool_]]:
        """Choose the best items; users of whom nothing is known get the popular ones."""
        rows = len(top)
        index = np.zeros((rows, self.items_top), np.int32)
        score = np.zeros((rows, self.items_top), np.float32)
        popular = (known == 0) & (self.items_top > 0)
        if self.items_top == 0:
            return index, score, popular
        for first in range(0, rows, ITEM_ROWS_MAX):
            part = slice(first, min(rows, first + ITEM_ROWS_MAX))
            logits = self.graphs.items(top[part])
            logits[popular[part]] = self._popular_score
            leave_out(logits, recent[part], self.bundle.vocabulary.item_map)
            select_top(logits, index[part], score[part])
        return index, score, popular


@compiled
def _gather(pool: Floats, pool_in: Integers, ranked: Integers, states: Floats) -> None:
    for rank in range(len(ranked)):
        row = pool_in[ranked[rank]]
        if row < 0:
            states[rank] = 0.0
        else:
            states[rank] = pool[row]


@compiled_short
def _copy_tops(after: Floats, top_first: int, tops: Floats) -> None:
    for index in range(len(tops)):
        tops[index] = after[index, top_first : top_first + tops.shape[1]]


@compiled_short
def _scatter(
    after: Floats,
    pool_out: Integers,
    ranked: Integers,
    rank: int,  # first of the block
    live: int,  # segments that go on
    count: int,
    pool: Floats,
) -> None:
    for index in range(live, count):
        row = pool_out[ranked[rank + index]]
        if row >= 0:
            pool[row] = after[index]


@compiled
def _trace_known(
    tables: StepTables,
    inputs: StepInputs,
    waves: Waves,
    pool_in: Integers,
    pool_out: Integers,
    pool_known: npt.NDArray[np.uint8],
    known: npt.NDArray[np.uint8],
) -> None:
    """Mark the steps up to which something is known: an item, a category or a query word."""
    flags = np.zeros(len(waves.ranked), np.uint8)
    for rank in range(len(flags)):
        row = pool_in[waves.ranked[rank]]
        if row >= 0:
            flags[rank] = pool_known[row]
    for run in range(len(waves.runs)):
        first = waves.runs[run, 0]
        for index in range(waves.runs[run, 1]):
            at = first + index
            item = inputs.item_id[at]
            category = inputs.side_id[at, 0]
            if 1 <= item <= tables.items_count or 1 <= category <= tables.categories_count:
                flags[waves.runs[run, 2] + index] = 1
            for token in range(TOKENS_MAX):
                if inputs.side_id[at, 2 + token] != tables.token_first:
                    flags[waves.runs[run, 2] + index] = 1
            known[at] = flags[waves.runs[run, 2] + index]
    for rank in range(len(flags)):
        row = pool_out[waves.ranked[rank]]
        if row >= 0:
            pool_known[row] = flags[rank]
