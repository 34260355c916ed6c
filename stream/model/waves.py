"""The order in which a plan's steps are run: segments by length, cut into blocks, then in waves.

Rules of the room: compiled loops on arrays. Segments are ranked from the longest to the shortest,
so the segments that are still live in a wave are the first ones of their block: their states lie at
the front of one array, and no wave gathers or scatters. A block is small enough for its states to
stay in the second-level cache.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.plan import Plan

BLOCK_SEGMENTS: Final = 1024  # 0.8 MB of states of 200 floats


class Waves(NamedTuple):
    """R runs of the step graph."""

    order: npt.NDArray[np.int32]  # (N,) index of the step at each position, in the order of running
    position: npt.NDArray[np.int32]  # (N,) where each step stands in `order`
    ranked: npt.NDArray[np.int32]  # (S,) segment of each rank, longest first
    runs: npt.NDArray[np.int32]  # (R, 4) first position, steps, first rank of the block, wave


def plan_waves(plan: Plan) -> Waves:
    """Order the steps. Cost 0.02 us a step. Raises ValueError on steps that are no segments."""
    steps, segments = len(plan.steps), len(plan.pool_in)
    if steps == 0:
        empty = np.zeros(0, np.int32)
        return Waves(empty, empty, empty, np.zeros((0, 4), np.int32))
    length = np.bincount(plan.segment, minlength=segments).astype(np.int32)
    longest = int(length.max())
    if len(length) != segments or int(length.min()) < 1 or int(plan.wave.max()) != longest - 1:
        raise ValueError(f"plan of {steps} steps does not fill {segments} segments")
    ranked = np.argsort(-length, kind="stable").astype(np.int32)
    blocks = -(-segments // BLOCK_SEGMENTS)
    runs = np.empty((int(length[ranked[::BLOCK_SEGMENTS]].sum()), 4), np.int32)
    order = np.full(steps, -1, np.int32)
    position = np.empty(steps, np.int32)
    rank_of = np.empty(segments, np.int32)
    first_of = np.empty((blocks, longest), np.int32)
    _order(plan.segment, plan.wave, length, ranked, rank_of, first_of, order, position, runs)
    if int(order.min()) < 0:
        raise ValueError(f"plan of {steps} steps: a segment's waves are not 0, 1, 2, ...")
    return Waves(order, position, ranked, runs)


@compiled
def _order(
    segment: npt.NDArray[np.int32],
    wave: npt.NDArray[np.int32],
    length: npt.NDArray[np.int32],
    ranked: npt.NDArray[np.int32],
    rank_of: npt.NDArray[np.int32],
    first_of: npt.NDArray[np.int32],
    order: npt.NDArray[np.int32],
    position: npt.NDArray[np.int32],
    runs: npt.NDArray[np.int32],
) -> None:
    segments = len(ranked)
    run = 0
    filled = 0
    for block in range(len(first_of)):
        first = block * BLOCK_SEGMENTS
        live = min(BLOCK_SEGMENTS, segments - first)
        for number in range(length[ranked[first]]):
            while length[ranked[first + live - 1]] <= number:
                live -= 1
            runs[run, 0] = filled
            runs[run, 1] = live
            runs[run, 2] = first
            runs[run, 3] = number
            first_of[block, number] = filled
            filled += live
            run += 1
    for rank in range(segments):
        rank_of[ranked[rank]] = rank
    for step in range(len(segment)):
        rank = rank_of[segment[step]]
        block = rank // BLOCK_SEGMENTS
        if wave[step] < length[ranked[block * BLOCK_SEGMENTS]]:
            at = first_of[block, wave[step]] + rank - block * BLOCK_SEGMENTS
            position[step] = at
            if at < len(order):
                order[at] = step
