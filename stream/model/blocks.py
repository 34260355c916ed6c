"""How a plan's steps are laid out for the step graph: segments by length, cut into blocks.

Rules of the room: compiled loops on arrays. A block is a rectangle of T steps by B segments and one
call of the graph. Segments are ranked from the longest to the shortest, so those of a block are
about as long as each other; what is missing to the rectangle is padding, computed and not read.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.plan import Plan

BLOCK_STEPS: Final = 8192  # of a call at most: its gates, 200 floats a step, take 6.5 MB
# A segment shorter than this share of the block's longest begins another block ...
LENGTH_SHARE_MIN: Final = 0.75
# ... once this much is padded: a call costs about as much as so many steps.
PADDING_STEPS_FREE: Final = 16


class Blocks(NamedTuple):
    """R rectangles, and the P places of their steps: block after block, step after step."""

    order: npt.NDArray[np.int32]  # (P,) index of the step at each place; -1: padding
    position: npt.NDArray[np.int32]  # (N,) place of each step
    ranked: npt.NDArray[np.int32]  # (S,) segment of each rank, longest first
    length: npt.NDArray[np.int32]  # (S,) steps of the segment of each rank
    runs: npt.NDArray[np.int32]  # (R, 4) first place, steps T, segments B, first rank


def plan_blocks(plan: Plan) -> Blocks:
    """Lay the steps out. Cost 0.02 us a step. Raises ValueError on steps that are no segments."""
    steps, segments = len(plan.steps), len(plan.pool_in)
    if steps == 0:
        empty = np.zeros(0, np.int32)
        return Blocks(empty, empty, empty, empty, np.zeros((0, 4), np.int32))
    counts = np.bincount(plan.segment, minlength=segments).astype(np.int32)
    longest = int(counts.max())
    if len(counts) != segments or int(counts.min()) < 1 or int(plan.wave.max()) != longest - 1:
        raise ValueError(f"plan of {steps} steps does not fill {segments} segments")
    ranked = np.argsort(-counts, kind="stable").astype(np.int32)
    length = counts[ranked]
    runs = np.empty((segments, 4), np.int32)
    blocks, places = _cut(length, runs)
    order = np.full(places, -1, np.int32)
    position = np.empty(steps, np.int32)
    place_of = np.empty((segments, 2), np.int32)
    _place(plan.segment, plan.wave, counts, ranked, runs[:blocks], place_of, order, position)
    if int((order >= 0).sum()) != steps:
        raise ValueError(f"plan of {steps} steps: a segment's waves are not 0, 1, 2, ...")
    return Blocks(order, position, ranked, length, runs[:blocks])


@compiled
def _cut(length: npt.NDArray[np.int32], runs: npt.NDArray[np.int32]) -> tuple[int, int]:
    """Write the blocks; return their number and that of the places."""
    blocks = 0
    places = 0
    first = 0
    while first < len(length):
        longest = length[first]
        rank = first
        padding = 0
        while rank < len(length) and (rank - first + 1) * longest <= max(BLOCK_STEPS, longest):
            padding += longest - length[rank]
            if padding > PADDING_STEPS_FREE and length[rank] < LENGTH_SHARE_MIN * longest:
                break
            rank += 1
        runs[blocks, 0] = places
        runs[blocks, 1] = longest
        runs[blocks, 2] = rank - first
        runs[blocks, 3] = first
        blocks += 1
        places += longest * (rank - first)
        first = rank
    return blocks, places


@compiled
def _place(
    segment: npt.NDArray[np.int32],
    wave: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int32],
    ranked: npt.NDArray[np.int32],
    runs: npt.NDArray[np.int32],
    place_of: npt.NDArray[np.int32],  # (S, 2) scratch: a segment's first place, places to the next
    order: npt.NDArray[np.int32],
    position: npt.NDArray[np.int32],
) -> None:
    for run in range(len(runs)):
        width = runs[run, 2]
        for column in range(width):
            number = ranked[runs[run, 3] + column]
            place_of[number, 0] = runs[run, 0] + column
            place_of[number, 1] = width
    for step in range(len(segment)):
        at = place_of[segment[step], 0] + wave[step] * place_of[segment[step], 1]
        position[step] = at
        if 0 <= wave[step] < counts[segment[step]]:
            order[at] = step
