"""Sequences that could have been: crops, steps left out, neighbours in time exchanged.

Rules of the room: numpy on a batch of encoded sequences, chance from the generator given. What is
not asked for changes nothing. Features stay consistent: gaps add up over steps left out, and what
comes first then looks like the first step of a window. No row may see its own answer: where an
exchange brings a later step forward, the row in between is not scored.

Masking of known items as unknown is the trainer's own (`Recipe.unknown_share`).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from export.dataset.record import Integers
from stream.core.layout import ACTIONS, EVENT_TYPES, SESSION_GAP_MS
from stream.model.step_features import SIDE_COUNT, STEP_FEATURES, StepInputs

Flags = npt.NDArray[np.bool_]

_DENSE: Final = {name: at for at, (name, _, _) in enumerate(STEP_FEATURES[1 + SIDE_COUNT :])}
_GAP, _NONE, _FIRST = _DENSE["gap_log"], _DENSE["gap_none"], _DENSE["session_first"]
_GAP_SCALE: Final = 8.0  # of gap_log, see STEP_FEATURES
# Columns that say what was done, not when.
_WHAT: Final = [*range(len(EVENT_TYPES) + len(ACTIONS)), _DENSE["quantity_log"]]


@dataclass(frozen=True, slots=True)
class Augment:
    """Shares of sequences or steps; 0: off. Measured effects: docs/models.md."""

    crop: float = 0.0  # of sequences: their older steps are cut off at a random place
    step_dropout: float = 0.0  # of steps: left out
    exchange: float = 0.0  # of neighbours within `exchange_s`: what was done changes places
    exchange_s: float = 10.0

    @property
    def on(self) -> bool:
        """Whether anything is done at all."""
        return self.crop > 0 or self.step_dropout > 0 or self.exchange > 0


def augmented(
    steps: StepInputs, lengths: Integers, augment: Augment, rng: np.random.Generator
) -> tuple[StepInputs, Integers]:
    """Change a batch of sequences, (T, B) steps: the new ones, and where each old step now stands.

    The place (T, B) is -1 for steps that are gone, and for those whose row must not be scored.
    """
    count = steps.item_id.shape[0]
    held = np.arange(count)[:, None] < lengths
    steps, scored = exchanged(steps, held, augment, rng)
    kept = held & (rng.random(held.shape) >= augment.step_dropout)
    cropped = rng.random(len(lengths)) < augment.crop
    begin = np.where(cropped, (rng.random(len(lengths)) * lengths).astype(np.int64), 0)
    kept &= np.arange(count)[:, None] >= begin
    kept[lengths - 1, np.arange(len(lengths))] = True  # something stays of each
    steps, place = keep_steps(steps, kept)
    return steps, np.where(scored, place, -1)


def exchanged(
    steps: StepInputs, held: Flags, augment: Augment, rng: np.random.Generator
) -> tuple[StepInputs, Flags]:
    """Exchange neighbours within `exchange_s`; tells which steps may still be scored: (T, B)."""
    close = np.zeros(held.shape, np.bool_)  # at a step: it changes places with the one before
    near = np.log1p(augment.exchange_s) / _GAP_SCALE
    close[1:] = held[1:] & (steps.dense[1:, :, _GAP] <= near) & (steps.dense[1:, :, _NONE] == 0)
    close &= rng.random(held.shape) < augment.exchange
    for at in range(1, len(close)):
        close[at] &= ~close[at - 1]  # a step moves once
    later, lane = np.nonzero(close)
    source = np.arange(len(close))[:, None] + np.zeros(held.shape, np.int64)
    source[later, lane] -= 1
    source[later - 1, lane] += 1
    dense = steps.dense.copy()
    dense[:, :, _WHAT] = np.take_along_axis(dense[:, :, _WHAT], source[:, :, None], axis=0)
    scored = np.ones(held.shape, np.bool_)
    scored[later - 1, lane] = False  # its row would see the step that it is to foretell
    item = np.take_along_axis(steps.item_id, source, axis=0)
    side = np.take_along_axis(steps.side_id, source[:, :, None], axis=0)
    return StepInputs(item, side, dense), scored


def keep_steps(steps: StepInputs, kept: Flags) -> tuple[StepInputs, Integers]:
    """Leave the other steps out; gives the place of each old step, -1: gone. (T, B)."""
    order = np.argsort(~kept, axis=0, kind="stable")
    place = np.where(kept, np.cumsum(kept, axis=0) - 1, -1)
    time_s = np.cumsum(np.expm1(_GAP_SCALE * steps.dense[:, :, _GAP].astype(np.float64)), axis=0)
    time_s = np.take_along_axis(time_s, order, axis=0)
    item = np.take_along_axis(steps.item_id, order, axis=0)
    side = np.take_along_axis(steps.side_id, order[:, :, None], axis=0)
    dense = np.take_along_axis(steps.dense, order[:, :, None], axis=0)
    gap_s = np.diff(time_s, axis=0, prepend=time_s[:1])
    dense[1:, :, _GAP] = np.log1p(np.maximum(gap_s[1:], 0)) / _GAP_SCALE
    dense[1:, :, _FIRST] = gap_s[1:] > SESSION_GAP_MS / 1000
    dense[0, :, _GAP], dense[0, :, _NONE], dense[0, :, _FIRST] = 0, 1, 1
    return StepInputs(item, side, dense), place
