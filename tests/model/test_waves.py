"""The order of running: every step once, live segments in front."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stream.model.waves as room
from stream.core.plan import Plan
from stream.model.bundle import Bundle
from stream.model.waves import BLOCK_SEGMENTS, plan_waves
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
    waves = plan_waves(plan)
    assert sorted(waves.order.tolist()) == list(range(len(plan.steps)))
    assert np.array_equal(waves.position[waves.order], np.arange(len(plan.steps)))
    ranked = np.array(lengths)[waves.ranked].tolist()
    assert ranked == sorted(lengths, reverse=True)
    filled = 0
    for first, count, rank, wave in waves.runs.tolist():
        assert first == filled
        filled += count
        steps = waves.order[first : first + count]
        assert np.all(plan.wave[steps] == wave)
        assert np.array_equal(plan.segment[steps], waves.ranked[rank : rank + count])
        assert rank % BLOCK_SEGMENTS == 0
        assert count <= BLOCK_SEGMENTS
    assert filled == len(plan.steps)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(0, 99))
def test_every_step_once_and_live_segments_in_front(lengths: list[int], seed: int) -> None:
    check(plan_with(lengths, seed), lengths)


@pytest.mark.parametrize("segments", [BLOCK_SEGMENTS - 1, BLOCK_SEGMENTS, BLOCK_SEGMENTS + 1])
def test_blocks(segments: int) -> None:
    lengths = [1 + (index * 7) % 5 for index in range(segments)]
    check(plan_with(lengths), lengths)


def test_an_empty_plan_has_no_runs() -> None:
    assert len(plan_waves(plan_of([])).runs) == 0


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
        plan_waves(plan)


def test_the_hand_made_plans_are_plans(bundle: Bundle) -> None:
    steps, gap_ms = history(bundle, 6, 1)
    plan = plan_of([Segment(steps[:2], gap_ms[:2]), Segment(steps, gap_ms)])
    check(plan, [2, 6])
    assert plan.row_step.tolist() == [1, 7]
    assert room.BLOCK_SEGMENTS >= 512, "each run of the step graph should be worth its call"
