"""What the scorer is asked, and what it answers. Pure data between the engine and the model.

A *segment* is a run of consecutive steps of one user: it starts from the (h, c) kept in a pool row,
or from zero, and its steps are run in waves: wave 0 is the first step of every segment, wave 1 the
second, ... A segment is at most 2 L steps long, since a user's state is rebuilt from zero every L
events (see docs/engine.md).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from stream.core.layout import Records


class Plan(NamedTuple):
    """N steps in S segments, B rows to score. The scorer may keep no reference after answering."""

    steps: Records  # (N,) STEP, copies
    gap_ms: npt.NDArray[np.int64]  # (N,) time since the step before in the window; -1: no such step
    segment: npt.NDArray[np.int32]  # (N,) index of the step's segment
    wave: npt.NDArray[np.int32]  # (N,) position in its segment
    pool_in: npt.NDArray[np.int32]  # (S,) pool row to start from; -1: zero state
    pool_out: npt.NDArray[np.int32]  # (S,) pool row that receives the final (h, c); -1: none
    row_step: npt.NDArray[np.int32]  # (B,) index of the step after which the row is scored
    head: npt.NDArray[np.float32]  # (B, F) head features, raw: stream.core.features.HEAD_FEATURES
    context: npt.NDArray[np.uint32]  # (B, 3) hashes of channel, device, region; 0: not given
    recent: npt.NDArray[np.uint64]  # (B, W) item hashes to leave out, 0: none; (B, 0) when off
    listed: npt.NDArray[np.bool_]  # (B,) False: nobody reads the row's items, they may be left out

    def of_rows(self, rows: slice | npt.NDArray[np.integer]) -> "Plan":
        """Run all steps, and ask for these rows alone."""
        return self._replace(
            row_step=self.row_step[rows],
            head=self.head[rows],
            context=self.context[rows],
            recent=self.recent[rows],
            listed=self.listed[rows],
        )


class Scores(NamedTuple):
    """One row per row of the plan, in its order."""

    next_event: npt.NDArray[np.float32]  # (B, 3) probabilities by event type, each row sums to 1
    purchase: npt.NDArray[np.float32]  # (B,) probability within the bundle's purchase horizon
    hazard: npt.NDArray[np.float32]  # (B, 8) P(active in bin | silent until it), in (0, 1)
    items: npt.NDArray[np.int32]  # (B, K) item indices of the bundle, best first; K = 0: no list
    item_scores: npt.NDArray[np.float32]  # (B, K) descending; -inf where items is 0: no item
    popular: npt.NDArray[np.bool_] | None = (
        None  # (B,) True: nothing known of the user, popular list
    )

    def of_rows(self, rows: slice) -> "Scores":
        """Take these rows alone."""
        return Scores(
            self.next_event[rows],
            self.purchase[rows],
            self.hazard[rows],
            self.items[rows],
            self.item_scores[rows],
            None if self.popular is None else self.popular[rows],
        )


class Scorer(Protocol):
    """Runs plans. Calls come one at a time, from one thread, in the order of the plans."""

    @property
    def padded_steps(self) -> int:
        """Steps of the last plan that were run only to fill a call, and are not read."""

    def open(self, partition: int, hidden_rows: int) -> None:
        """Make the (h, c) pool of one engine, all zero."""

    def close(self, partition: int) -> None:
        """Drop the pool of one engine."""

    def score(self, partition: int, plan: Plan) -> Scores:
        """Score the rows of a plan and keep the final states that it asks to keep.

        Every pool_in row is read before any pool_out row is written.
        """


class JointScorer(Scorer, Protocol):
    """Also runs plans of several engines in one call, which costs little more than one of them."""

    def score_together(self, parts: Sequence[tuple[int, Plan]]) -> list[Scores]:
        """Score plans of different partitions, as `score` would one after the other.

        When it raises, it is unknown which plan is at fault, and pools may be written or not.
        """


def join_plans(plans: Sequence[Plan]) -> Plan:
    """Lay plans one behind the other; pool rows stay those of each plan's own pool."""
    if len(plans) == 1:
        return plans[0]
    segments = steps = 0
    shifted = []
    for plan in plans:
        shifted.append(
            plan._replace(segment=plan.segment + segments, row_step=plan.row_step + steps)
        )
        segments += len(plan.pool_in)
        steps += len(plan.steps)
    return Plan(*map(np.concatenate, zip(*shifted, strict=True)))


def split_scores(scores: Scores, plans: Sequence[Plan]) -> list[Scores]:
    """Give each of the plans that were joined its rows."""
    if len(plans) == 1:
        return [scores]
    ends = np.cumsum([len(plan.row_step) for plan in plans]).tolist()
    return [
        scores.of_rows(slice(first, end)) for first, end in zip([0, *ends[:-1]], ends, strict=True)
    ]
