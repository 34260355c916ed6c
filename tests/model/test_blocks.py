"""The layout of a plan: every step once, in the rectangle of its block."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.plan import Plan
from stream.model.blocks import (
    BLOCK_STEPS,
    LENGTH_SHARE_MIN,
    PADDING_STEPS_FREE,
    plan_blocks,
)
from stream.model.bundle import Bundle
from tests.model.plans import Segment, history, plan_of


def plan_with(lengths: list[int], seed: int = 0) -> Plan:
    """A plan of bare segments whose steps come in any order that keeps each segment's own."""
    rng = np.random.default_rng(seed)
    segment = rng.permutation(np.repeat(np.arange(len(lengths)), lengths)).astype(np.int32)
    wave = np.zeros_like(segment)
    seen = [0] * len(lengths)
    for step, number in enumerate(segment.tolist()):
        wave[step] = seen[number]
        seen[number] += 1
    none = np.full(len(lengths), -1, np.int32)
    blank = plan_of([])
    return blank._replace(
        steps=np.zeros(len(segment), blank.steps.dtype),
        segment=segment, wave=wave, pool_in=none, pool_out=none,
    )  # fmt: skip


def check(plan: Plan, lengths: list[int]) -> None:
    blocks = plan_blocks(plan)
    held = blocks.order[blocks.order >= 0]
    assert sorted(held.tolist()) == list(range(len(plan.steps)))
    assert np.array_equal(blocks.order[blocks.position], np.arange(len(plan.steps)))
    ranked = np.array(lengths)[blocks.ranked].tolist()
    assert ranked == sorted(lengths, reverse=True) == blocks.length.tolist()
    filled = ranks = 0
    for first, steps, count, rank in blocks.runs.tolist():
        assert (first, rank) == (filled, ranks)
        filled += steps * count
        ranks += count
        assert steps == ranked[rank]
        assert steps * count <= max(BLOCK_STEPS, steps)
        places = blocks.order[first:filled].reshape(steps, count)
        wave, column = np.nonzero(places >= 0)
        assert np.array_equal(plan.wave[places[wave, column]], wave)
        assert np.array_equal(plan.segment[places[wave, column]], blocks.ranked[rank + column])
        padding = steps * count - sum(ranked[rank : rank + count])
        short = min(ranked[rank : rank + count])
        assert padding <= PADDING_STEPS_FREE or short >= LENGTH_SHARE_MIN * steps
    assert filled == len(blocks.order)
    assert ranks == len(lengths)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(0, 99))
def test_every_step_once_in_its_rectangle(lengths: list[int], seed: int) -> None:
    check(plan_with(lengths, seed), lengths)


@pytest.mark.parametrize("segments", [BLOCK_STEPS - 1, BLOCK_STEPS, BLOCK_STEPS + 1])
def test_a_block_is_full_at_its_limit(segments: int) -> None:
    lengths = [1] * segments
    check(plan_with(lengths), lengths)
    assert len(plan_blocks(plan_with(lengths)).runs) == 1 + (segments > BLOCK_STEPS)


def test_few_calls_whatever_the_lengths() -> None:
    lengths = [1 + (index * 7) % 32 for index in range(3000)]
    check(plan_with(lengths), lengths)
    assert len(plan_blocks(plan_with(lengths)).runs) <= 20
    few = list(range(1, 9))
    check(plan_with(few), few)
    assert len(plan_blocks(plan_with(few)).runs) <= 2


def test_an_empty_plan_has_no_runs() -> None:
    assert len(plan_blocks(plan_of([])).runs) == 0


@pytest.mark.parametrize(
    ("segment", "wave"),
    [
        ([0, 0, 1], [0, 0, 0]),  # twice the first step
        ([0, 0, 1], [1, 2, 0]),  # no first step
        ([0, 0, 0], [0, 1, 2]),  # a segment without steps
        ([0, 1, 1], [1, 0, 1]),  # starts with its second
    ],
)
def test_what_are_no_segments_is_refused(segment: list[int], wave: list[int]) -> None:
    plan = plan_with([2, 1])._replace(
        segment=np.array(segment, np.int32), wave=np.array(wave, np.int32)
    )
    with pytest.raises(ValueError, match="segment"):
        plan_blocks(plan)


def test_the_hand_made_plans_are_plans(bundle: Bundle) -> None:
    steps, gap_ms = history(bundle, 6, 1)
    plan = plan_of([Segment(steps[:2], gap_ms[:2]), Segment(steps, gap_ms)])
    check(plan, [2, 6])
    assert plan.row_step.tolist() == [1, 7]
