"""A scorer that remembers what it was asked: how training data is cut, and how it is scored.

Rules of the room: training cuts sequences as serving does because serving cuts them: the engine
runs over a log, and its plans are kept, one engine a partition. A *sequence* is what the model
would run from zero state without a break: its steps, and the rows scored along it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from export.dataset.event_log import EventLog, batches
from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.core.layout import EVENT_TYPES, HAZARD_BINS, Outcome, Records
from stream.core.plan import Plan, Scorer, Scores

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recorded:
    """N steps in Q sequences, B rows, in the order of scoring."""

    steps: Records  # (N,) STEP
    gap_ms: Integers  # (N,)
    sequence: Integers  # (N,) from 0
    position: Integers  # (N,) in the sequence, from 0
    row_sequence: Integers  # (B,) of the step after which the row is scored
    row_position: Integers  # (B,)
    head: npt.NDArray[np.float32]  # (B, 28)
    context: npt.NDArray[np.uint32]  # (B, 3)
    recent: npt.NDArray[np.uint64]  # (B, W)
    rows: Records  # (B,) results.ROW
    user: Integers  # (B,) number of the user in the log
    event_type: Integers  # (B,) of the event
    item: npt.NDArray[np.uint64]  # (B,) of the event's first step; 0: none
    event: Integers  # (B,) index of the event in the log
    scores: Scores  # (B,)
    outcome: npt.NDArray[np.uint8]  # (n,) layout.Outcome of every event of the log
    reason: npt.NDArray[np.uint8]  # (n,) layout.Reason of the dead-lettered; else 0


class RecordingScorer:
    """stream.core.plan.Scorer whose hidden states are places in sequences.

    With an inner scorer it answers with that one's scores, otherwise with scores that mean nothing.
    """

    def __init__(self, inner: Scorer | None = None) -> None:
        self.plans: list[Plan] = []
        self.scores: list[Scores] = []
        self._inner = inner
        self.sequence: list[Integers] = []
        self.position: list[Integers] = []
        self._lengths = np.zeros(0, np.int64)
        self._pools: dict[int, Integers] = {}

    def open(self, partition: int, hidden_rows: int) -> None:
        """Make a pool; no row stands in a sequence."""
        self._pools[partition] = np.full(hidden_rows, -1, np.int64)
        if self._inner is not None:
            self._inner.open(partition, hidden_rows)

    def close(self, partition: int) -> None:
        """Drop a pool."""
        del self._pools[partition]
        if self._inner is not None:
            self._inner.close(partition)

    def score(self, partition: int, plan: Plan) -> Scores:
        """Keep the plan, and where its steps stand in sequences."""
        pool = self._pools[partition]
        carried = plan.pool_in >= 0
        sequence = np.where(carried, pool[plan.pool_in], -1)
        if (sequence[carried] < 0).any():
            raise RuntimeError("a plan carries on a state that was never kept")
        opened = int((~carried).sum())
        sequence[~carried] = len(self._lengths) + np.arange(opened)
        self._lengths = np.concatenate([self._lengths, np.zeros(opened, np.int64)])
        before = self._lengths[sequence]
        self.plans.append(plan)
        self.sequence.append(sequence[plan.segment])
        self.position.append(before[plan.segment] + plan.wave)
        self._lengths[sequence] += np.bincount(plan.segment, minlength=len(sequence))
        kept = plan.pool_out >= 0
        pool[plan.pool_out[kept]] = sequence[kept]
        inner = self._inner
        scores = _empty(len(plan.row_step)) if inner is None else inner.score(partition, plan)
        self.scores.append(scores)
        return scores


def _empty(rows: int) -> Scores:
    return Scores(
        np.full((rows, len(EVENT_TYPES)), 1 / len(EVENT_TYPES), np.float32),
        np.full(rows, 0.5, np.float32),
        np.full((rows, HAZARD_BINS), 0.5, np.float32),
        np.zeros((rows, 0), np.int32),
        np.zeros((rows, 0), np.float32),
    )


def record(
    log: EventLog, config: EngineConfig, inner: Scorer | None = None, cuts: Sequence[int] = ()
) -> Recorded:
    """Run engines over a log and keep their plans, and the scores of the inner scorer.

    At each of `cuts` (indices of events) kept states are dropped, as at a swap of the model: a
    sequence has scored rows on one side only. Raises ValueError where no event is scored.
    """
    scorer = RecordingScorer(inner)
    engine, partition = Engine(config, 0), -1
    rows, users, types, items, places = [], [], [], [], []
    outcomes = np.zeros((2, len(log.events)), np.uint8)
    for piece in batches(log, cuts=cuts):
        if piece.partition != partition:
            if partition >= 0:
                scorer.close(partition)
            partition = piece.partition
            engine = Engine(config, partition)
            scorer.open(partition, config.hidden_users_max)
        if piece.first in cuts:
            engine.drop_hidden()
        settled = engine.run(piece.batch, partial(scorer.score, partition))
        done = np.concatenate([part.rows for part in settled])
        last = piece.first + len(done)
        events = log.events[piece.first : last]
        outcomes[:, piece.first : last] = done["outcome"], done["reason"]
        scored = done["outcome"] == Outcome.PREDICTED
        rows.append(done[scored])
        users.append(events["user"][scored].astype(np.int64))
        types.append(events["event_type"][scored].astype(np.int64))
        items.append(log.steps["item"][events["step_first"][scored]])
        places.append(piece.first + np.flatnonzero(scored))
    if not any(map(len, rows)):
        raise ValueError(f"none of {len(log.events)} events was scored")
    starts = np.cumsum([0, *(len(plan.steps) for plan in scorer.plans)])[:-1]
    at = np.concatenate(
        [start + plan.row_step for start, plan in zip(starts, scorer.plans, strict=True)]
    )
    sequence = np.concatenate(scorer.sequence)
    position = np.concatenate(scorer.position)
    return Recorded(
        steps=np.concatenate([plan.steps for plan in scorer.plans]),
        gap_ms=np.concatenate([plan.gap_ms for plan in scorer.plans]),
        sequence=sequence,
        position=position,
        row_sequence=sequence[at],
        row_position=position[at],
        head=np.concatenate([plan.head for plan in scorer.plans]),
        context=np.concatenate([plan.context for plan in scorer.plans]),
        recent=np.concatenate([plan.recent for plan in scorer.plans]),
        rows=np.concatenate(rows),
        user=np.concatenate(users),
        event_type=np.concatenate(types),
        item=np.concatenate(items),
        event=np.concatenate(places),
        outcome=outcomes[0],
        reason=outcomes[1],
        scores=Scores(
            *(
                np.concatenate([getattr(part, name) for part in scorer.scores])
                for name in ("next_event", "purchase", "hazard", "items", "item_scores")
            )
        ),
    )
