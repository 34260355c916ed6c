"""A scorer that remembers what it was asked: how training data is cut, and how it is scored.

Rules of the room: training cuts sequences as serving does because serving cuts them: the engine
runs over a log, and its plans are kept. A *sequence* is what the model would run from zero state
without a break: its steps, and the rows scored along it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from export.dataset.shop_log import ShopLog, batches
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
    scores: Scores  # (B,)


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


def record(log: ShopLog, config: EngineConfig, inner: Scorer | None = None) -> Recorded:
    """Run an engine over a log and keep its plans, and the scores of the inner scorer."""
    scorer = RecordingScorer(inner)
    engine = Engine(config, 0)
    scorer.open(0, config.hidden_users_max)
    rows, users, types, items = [], [], [], []
    first_event = 0
    for batch in batches(log):
        settled = engine.run(batch, lambda plan: scorer.score(0, plan))
        done = np.concatenate([part.rows for part in settled])
        events = log.events[first_event : first_event + len(batch.events)]
        first_event += len(events)
        scored = done["outcome"] == Outcome.PREDICTED
        rows.append(done[scored])
        users.append(events["user"][scored].astype(np.int64))
        types.append(events["event_type"][scored].astype(np.int64))
        items.append(log.steps["item"][events["step_first"][scored]])
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
        scores=Scores(
            *(
                np.concatenate([getattr(part, name) for part in scorer.scores])
                for name in ("next_event", "purchase", "hazard", "items", "item_scores")
            )
        ),
    )
