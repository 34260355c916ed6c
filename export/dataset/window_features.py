"""The window as a table: one fixed-width row per scored row, for models that read no sequences.

Rules of the room: numpy on whole arrays, nothing fitted, nothing that serving does not know at the
row. Built from the step inputs and head features that the networks get, so that a feature still has
one definition (stream/model/step_features.py, stream/core/features.py). The window of a row is what
the recurrent model would read for it: its sequence up to its step, 2L steps at most.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from export.dataset.record import Integers
from export.dataset.training_set import TrainingSet
from stream.core.features import HEAD_FEATURES
from stream.core.layout import ACTIONS
from stream.model.bundle import tables_of
from stream.model.step_features import SIDE_COUNT, STEP_FEATURES
from stream.model.vocabulary import Vocabulary

STEPS: Final = 4  # newest steps that have columns of their own
_BLOCK_ROWS: Final = 32_768

_DENSE: Final = {name: at for at, (name, _, _) in enumerate(STEP_FEATURES[1 + SIDE_COUNT :])}
_ACTION: Final = _DENSE[f"action_{ACTIONS[0]}"]

_OF_STEP: Final = (
    *((f"action_{name}", "1", f"1: the action is {name}") for name in ACTIONS),
    ("gap_log", "1", "as the step feature"),
    ("session_first", "1", "as the step feature"),
    ("price_band", "band", "as the step feature; 0: not given"),
    ("item_given", "1", "1: the step has an item"),
    ("item_same", "1", "1: the item of the newest step"),
    ("category_same", "1", "1: the category of the newest step"),
)
_OF_WINDOW: Final = (
    ("window_steps", "steps", "steps of the window"),
    *((f"window_{name}", "steps", f"steps whose action is {name}") for name in ACTIONS),
    ("window_items", "items", "distinct items"),
    ("window_categories", "categories", "distinct categories"),
    ("window_sessions", "sessions", "steps that begin a session"),
    ("window_item_same", "steps", "steps with the item of the newest one, it included"),
    ("window_category_same", "steps", "steps with the category of the newest one, it included"),
    ("window_gap_log", "1", "mean of gap_log"),
    ("window_price_band", "band", "mean price band of the steps that have one; 0: none has"),
    ("window_price_band_max", "band", "highest price band"),
)

# (name, unit, definition) of each column, in order. step_0 is the newest; a step that the window
# does not hold has zeros.
WINDOW_FEATURES: Final = (
    *HEAD_FEATURES,
    ("channel", "row", "row of the context table; its order says nothing"),
    ("device", "row", "row of the context table"),
    ("region", "row", "row of the context table"),
    *(
        (f"step_{back}_{name}", unit, definition)
        for back in range(STEPS)
        for name, unit, definition in _OF_STEP
    ),
    *_OF_WINDOW,
)
HEAD_COLUMNS: Final = len(HEAD_FEATURES)  # the first ones: counters, recency, session, clock


def window_features(
    data: TrainingSet, vocabulary: Vocabulary, rows: Integers
) -> npt.NDArray[np.float32]:
    """Make the table of some rows: (B, F), F = len(WINDOW_FEATURES). 13 us a row.

    Head columns are on the scale of `scaled_head`, the others in their units.
    """
    price_first = tables_of(vocabulary).price_first
    out = np.empty((len(rows), len(WINDOW_FEATURES)), np.float32)
    for first in range(0, len(rows), _BLOCK_ROWS):
        part = rows[first : first + _BLOCK_ROWS]
        out[first : first + _BLOCK_ROWS] = _block(data, price_first, part)
    return out


def window_steps(data: TrainingSet, rows: Integers) -> Integers:
    """Index of each row's steps, newest first: (B, T); -1 beyond the window's oldest step."""
    position = data.position[rows]
    back = np.arange(int(position.max(initial=0)) + 1)
    place = position[:, None] - back
    found = data.table[data.sequence[rows, None], np.maximum(place, 0)]
    return np.where(place >= 0, found, -1)


def _block(data: TrainingSet, price_first: int, rows: Integers) -> npt.NDArray[np.float32]:
    at = window_steps(data, rows)
    held = at >= 0
    at = np.maximum(at, 0)
    item = np.where(held, data.inputs.item_id[at], 0)
    category = np.where(held, data.inputs.side_id[at, 0], 0)
    band = np.where(held, data.inputs.side_id[at, 1] - price_first, 0)
    dense = data.inputs.dense[at] * held[:, :, None]
    action = dense[:, :, _ACTION : _ACTION + len(ACTIONS)]
    item_same = (item == item[:, :1]) & (item > 0)
    category_same = (category == category[:, :1]) & (category > 0)
    steps = np.zeros((len(rows), STEPS, len(_OF_STEP)), np.float32)
    shown = min(STEPS, at.shape[1])
    steps[:, :shown] = np.concatenate(
        [
            action[:, :shown],
            dense[:, :shown, [_DENSE["gap_log"], _DENSE["session_first"]]],
            np.stack([band, item > 0, item_same, category_same], axis=2)[:, :shown],
        ],
        axis=2,
    )
    priced = band > 0
    window = np.column_stack(
        [
            held.sum(axis=1),
            action.sum(axis=1),
            _distinct(item),
            _distinct(category),
            dense[:, :, _DENSE["session_first"]].sum(axis=1),
            item_same.sum(axis=1),
            category_same.sum(axis=1),
            dense[:, :, _DENSE["gap_log"]].sum(axis=1) / np.maximum(held.sum(axis=1), 1),
            band.sum(axis=1) / np.maximum(priced.sum(axis=1), 1),
            band.max(axis=1),
        ]
    )
    flat = steps.reshape(len(rows), -1)
    return np.concatenate([data.head[rows], data.context[rows], flat, window], axis=1).astype(
        np.float32
    )


def _distinct(ids: Integers) -> Integers:
    """Count distinct positive numbers in each row."""
    ordered = np.sort(ids, axis=1)
    fresh = np.ones(ordered.shape, np.bool_)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return np.asarray((fresh & (ordered > 0)).sum(axis=1))
