"""Leave-one-out: what a prediction would have been without one step of its window.

The window without the step is scored beside the whole one, from zero state, in one batch. Left out
is the step from the recurrent input, and its event (if it was the event's only step) from counters,
context and the other head features; which steps the model runs over, the silence and the items left
out of the list stay. Effect = score with the step less score without it: above 0, the step raised
it. Effects of single steps do not add up to the score, and say nothing about causes in the shop.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.plan import Plan, Scores
from stream.core.results import Batch
from stream.model.bundle import Bundle
from stream.model.graphs import Graphs
from stream.model.scorer import OnnxScorer
from stream.served.log import ServedError
from stream.served.window import Window, churn_at, last_plan

ITEMS_TOP: Final = 1_000  # best items among which the prediction's best one is looked for
DECIMALS_ERROR: Final = 5e-7  # predictions are written with six decimals

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effects:
    """S steps left out, one at a time, oldest first; row 0 of the scores is the whole window.

    purchase, churn, item: (S + 1,) score; next_event: (S + 1, 3). item is of the best item, NaN
    without one. churn is NaN where the user has insufficient history or the silence is not known.
    position: (S,) place of each step in window.plan.
    """

    position: npt.NDArray[np.int64]
    purchase: Doubles
    churn: Doubles
    item: Doubles
    next_event: Doubles
    item_id: str  # of the best item; empty: none

    def of(self, scores: Doubles) -> Doubles:
        """Signed effects of the steps on one of the scores.  # (S,)."""
        return np.asarray(scores[0] - scores[1:])


def leave_one_out(
    window: Window, bundle: Bundle, graphs: Graphs, steps_max: int, horizon_ms: int
) -> Effects:
    """Score the window without each of its last `steps_max` steps. Raises ServedError.

    Refuses a window whose scores are not those that were told, within the bundle's tolerance. The
    only step of a window cannot be left out.
    """
    count = len(window.plan.steps)
    left_out = np.arange(max(0, count - steps_max), count) if count > 1 else np.arange(0)
    plan = _joined([window.plan, *(_without(window, int(at)) for at in left_out)])
    scorer = OnnxScorer(bundle, graphs, ITEMS_TOP)
    scorer.open(0, 0)
    scores = scorer.score(0, plan)
    item_id, item = _best_item(window, bundle, scores)
    effects = Effects(
        position=left_out,
        purchase=scores.purchase.astype(np.float64),
        churn=_churn(window, scores, bundle, horizon_ms),
        item=item,
        next_event=scores.next_event.astype(np.float64),
        item_id=item_id,
    )
    _check(window, effects, bundle.manifest.tolerance)
    return effects


def _check(window: Window, effects: Effects, tolerance: float) -> None:
    """Refuse scores that are not those that were told. Raises ServedError."""
    note = window.told.note
    told = [
        ("purchase_probability", note.purchase_probability, effects.purchase[0]),
        ("next_event click", note.next_event.click, effects.next_event[0, 0]),
        ("next_event search", note.next_event.search, effects.next_event[0, 1]),
        ("next_event purchase", note.next_event.purchase, effects.next_event[0, 2]),
    ]
    if note.items:
        told.append(("score of the best item", note.items[0].score, effects.item[0]))
    for name, said, found in told:
        if not abs(said - found) <= tolerance + DECIMALS_ERROR:
            raise ServedError(
                f"{note.prediction_id}: {name} {said} was told, and {found:.6f} is recomputed,"
                f" beyond the bundle's tolerance of {tolerance}"
            )


def _churn(window: Window, scores: Scores, bundle: Bundle, horizon_ms: int) -> Doubles:
    """Churn at the silence of the prediction, if that gives what was told; else NaN."""
    told = window.told.note.churn_probability
    if told is None:
        return np.full(len(scores.hazard), np.nan)
    churn = churn_at(scores.hazard, bundle.hazard_edges_ms, window.silence_ms, horizon_ms)
    near = abs(churn[0] - told) <= bundle.manifest.tolerance + DECIMALS_ERROR
    return churn if near else np.full(len(churn), np.nan)


def _best_item(window: Window, bundle: Bundle, scores: Scores) -> tuple[str, Doubles]:
    """Score of the whole window's best item in every row; at most the last one's, if not listed."""
    none: Doubles = np.full(len(scores.items), np.nan)
    if not window.told.note.items or not scores.items.shape[1] or scores.items[0, 0] < 1:
        return "", none
    best = scores.items[0, 0]
    listed = scores.items == best
    score = np.where(listed, scores.item_scores, -np.inf).max(axis=1)
    last = np.where(scores.items > 0, scores.item_scores, np.inf).min(axis=1)
    return bundle.vocabulary.item_ids[best], np.where(listed.any(axis=1), score, last)


def _without(window: Window, position: int) -> Plan:
    """Plan the window without one of its steps."""
    plan = window.plan
    gap_ms = np.delete(plan.gap_ms, position)
    steps = np.delete(plan.steps, position)
    if position == 0:
        gap_ms[0] = -1
    elif position < len(steps):
        gap_ms[position] = steps["time_ms"][position] - steps["time_ms"][position - 1]
    less = last_plan(_without_step(window.batch, plan.steps[position]), window.config)[0]
    return plan._replace(
        steps=steps,
        gap_ms=gap_ms,
        segment=plan.segment[1:],
        wave=plan.wave[:-1],
        row_step=plan.row_step - 1,
        head=less.head,
        context=less.context,
    )


def _without_step(batch: Batch, step: npt.NDArray[np.void]) -> Batch:
    """Take a step out of a user's events, and its event if it was the only one."""
    at = int(np.flatnonzero(batch.steps == step)[0])
    events = batch.events.copy()
    owner = int(np.flatnonzero((events["step_first"] <= at) & (at < _after(events)))[0])
    events["steps_count"][owner] -= 1
    events["step_first"] -= events["step_first"] > at
    if events["steps_count"][owner] == 0:
        events = np.delete(events, owner)
    return Batch(events, np.delete(batch.steps, at), batch.users)


def _after(events: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    return np.asarray(events["step_first"].astype(np.int64) + events["steps_count"])


def _joined(plans: list[Plan]) -> Plan:
    """Put plans of one row and one segment each into one."""
    sizes = [len(plan.steps) for plan in plans]
    starts = np.cumsum([0, *sizes[:-1]])
    columns = {
        name: np.concatenate([getattr(plan, name) for plan in plans])
        for name in ("steps", "gap_ms", "wave", "head", "context", "recent", "listed")
    }
    none = np.full(len(plans), -1, np.int32)
    return Plan(
        segment=np.repeat(np.arange(len(plans), dtype=np.int32), sizes),
        pool_in=none,
        pool_out=none.copy(),
        row_step=np.array(
            [start + plan.row_step[0] for start, plan in zip(starts, plans, strict=True)], np.int32
        ),
        **columns,
    )
