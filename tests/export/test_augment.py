"""Augmented sequences: consistent features, no row that sees its answer, nothing when off."""

import numpy as np
import pytest

from export.training.augment import Augment, augmented, exchanged, keep_steps
from stream.model.step_features import SIDE_COUNT, STEP_FEATURES, StepInputs

NAMES = [name for name, _, _ in STEP_FEATURES[1 + SIDE_COUNT :]]
GAP, NONE, FIRST, CART = (
    NAMES.index(name) for name in ("gap_log", "gap_none", "session_first", "action_cart")
)


def batch(gaps_s: list[list[float]]) -> tuple[StepInputs, np.ndarray]:
    """Sequences with these gaps before their steps; items 1, 2, 3 ...; every second one a cart."""
    lengths = np.array([len(gaps) for gaps in gaps_s])
    longest = int(lengths.max())
    item = np.tile(np.arange(1, longest + 1, dtype=np.int32)[:, None], len(gaps_s))
    dense = np.zeros((longest, len(gaps_s), len(NAMES)), np.float32)
    for lane, gaps in enumerate(gaps_s):
        dense[: len(gaps), lane, GAP] = np.log1p(gaps) / 8
        dense[0, lane, GAP], dense[0, lane, NONE], dense[0, lane, FIRST] = 0, 1, 1
    dense[1::2, :, CART] = 1
    side = np.tile(item[:, :, None], (1, 1, SIDE_COUNT))
    return StepInputs(item, side, dense), lengths


def test_off_changes_nothing() -> None:
    steps, lengths = batch([[0, 5, 9], [0, 100]])
    made, place = augmented(steps, lengths, Augment(), np.random.default_rng(1))
    assert place.tolist() == [[0, 0], [1, 1], [2, -1]]
    held = np.arange(3)[:, None] < lengths
    for before, after in zip(steps, made, strict=True):
        assert before[held] == pytest.approx(after[held], abs=1e-6)
    assert not Augment().on


def test_gaps_add_up_over_steps_left_out() -> None:
    steps, _ = batch([[0, 100, 2000, 50]])
    made, place = keep_steps(steps, np.array([[True], [False], [True], [True]]))
    assert place[:, 0].tolist() == [0, -1, 1, 2]
    assert made.item_id[:3, 0].tolist() == [1, 3, 4]
    assert np.expm1(8 * made.dense[:3, 0, GAP]) == pytest.approx([0, 2100, 50], rel=1e-3)
    assert made.dense[:3, 0, FIRST].tolist() == [1, 1, 0]


def test_a_crop_begins_like_a_window() -> None:
    steps, lengths = batch([[0, 10, 20, 30]] * 50)
    made, place = augmented(steps, lengths, Augment(crop=1.0), np.random.default_rng(2))
    assert (made.dense[0, :, NONE] == 1).all()
    assert (made.dense[0, :, GAP] == 0).all()
    begun = made.item_id[0]
    assert set(begun.tolist()) == {1, 2, 3, 4}
    last = place[3]
    assert (made.item_id[last, np.arange(50)] == 4).all(), "the end is never cut off"
    assert (last == 4 - begun).all()


def test_no_row_sees_the_step_that_it_is_to_foretell() -> None:
    rng = np.random.default_rng(3)
    steps, lengths = batch([rng.uniform(1, 15, 12).tolist() for _ in range(40)])
    augment = Augment(crop=0.3, step_dropout=0.2, exchange=0.5)
    made, place = augmented(steps, lengths, augment, rng)
    moved = 0
    for lane in range(40):
        for old in range(int(lengths[lane])):
            if place[old, lane] < 0:
                continue
            read = made.item_id[: place[old, lane] + 1, lane]
            assert read.max() <= old + 1, "a later step was read"
            moved += read[-1] != old + 1
    assert moved > 10, "something was exchanged"


def test_what_was_done_moves_and_when_stays() -> None:
    steps, lengths = batch([[0, 5, 500, 5]])
    held = np.arange(4)[:, None] < lengths
    augment = Augment(exchange=1.0)
    made, scored = exchanged(steps, held, augment, np.random.default_rng(1))
    assert made.item_id[:, 0].tolist() == [2, 1, 4, 3]
    assert made.side_id[:, 0, 0].tolist() == [2, 1, 4, 3]
    assert made.dense[:, 0, CART].tolist() == [1, 0, 1, 0]
    assert np.array_equal(made.dense[:, :, GAP], steps.dense[:, :, GAP])
    assert scored[:, 0].tolist() == [False, True, False, True]
