"""Next items as served: prefixes become events of users, and the lists come from engine and bundle.

Rules of the room: no torch, and nothing of serving is done again here. Users are mixed, batches end
anywhere, (h, c) is carried from step to step; a list is asked only after a prefix's last event. The
list is the exact best of all items, recent ones included, of equal scores the lower index first.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from export.dataset.event_log import EventLog, batches
from export.dataset.record import Integers
from export.dataset.sessions import Sequences
from stream.core.config import DAY_MS, EngineConfig
from stream.core.engine import Engine
from stream.core.layout import ACTIONS, EVENT, EVENT_TYPES, HAZARD_BINS, STEP
from stream.core.plan import Plan, Scores
from stream.model.bundle import Bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer

START_MS: Final = 1_767_225_600_000  # any time will do: data without times gets one event a second
STEP_MS: Final = 1000
EVENTS_MAX: Final = 8192  # of a batch


def served_lists(
    bundle: Bundle,
    sequences: Sequences,
    items: npt.NDArray[np.uint64],
    refresh_steps: int,
    top: int,
    seed: int,
    tick: Callable[[int], None],
) -> npt.NDArray[np.int32]:
    """Return the list after each sequence: (Q, top) item indices, best first.

    `items` are the hashes of the sequences' items, unknown ones too: (N,). `refresh_steps` is L,
    the bundle's or another one. `tick` gets the number of events done, batch by batch.
    """
    log, last_of = mixed_log(sequences, items, seed)
    config = EngineConfig(
        window_steps=max(32, 2 * refresh_steps),
        refresh_steps=refresh_steps,
        users_max=len(sequences),
        hidden_users_max=len(sequences),
        hazard_edges_ms=bundle.hazard_edges_ms,
        bucket_ms=DAY_MS,
        exclude_recent=False,
    )
    engine = Engine(config, 0, EVENTS_MAX)
    scorer = OnnxScorer(bundle, open_graphs(bundle, "cpu"), top)
    scorer.open(0, config.hidden_users_max)
    lists = np.zeros((len(sequences), scorer.items_top), np.int32)
    for piece in batches(log, EVENTS_MAX, random_cuts(len(log.events), seed)):
        first = 0
        while first < len(piece.batch.events):
            applied = engine.apply(piece.batch, first)
            asked = last_of[piece.first + first + applied.scored["row"]]  # (B,) -1: not asked
            scores = score_chosen(scorer, applied.plan, np.flatnonzero(asked >= 0))
            lists[asked[asked >= 0]] = scores.items[asked >= 0]
            engine.settle(applied, scores)
            first = applied.rows_next
        tick(len(piece.batch.events))
    return lists


def score_chosen(scorer: OnnxScorer, plan: Plan, chosen: Integers) -> Scores:
    """Run all steps of a plan but ask for the chosen rows alone; the others get even chances."""
    part = scorer.score(0, plan.of_rows(chosen))
    rows = len(plan.row_step)
    scores = Scores(
        np.full((rows, len(EVENT_TYPES)), 1 / len(EVENT_TYPES), np.float32),
        np.full(rows, 0.5, np.float32),
        np.full((rows, HAZARD_BINS), 0.5, np.float32),
        np.zeros((rows, scorer.items_top), np.int32),
        np.full((rows, scorer.items_top), -np.inf, np.float32),
    )
    for whole, made in zip(scores[:5], part[:5], strict=True):
        whole[chosen] = made
    return scores


def mixed_log(
    sequences: Sequences, items: npt.NDArray[np.uint64], seed: int
) -> tuple[EventLog, Integers]:
    """Mix the sequences' events, each in its order: a log, and whose last event each one is or -1.

    A sequence is a user that views items, a second between any two events of the log.
    """
    count = len(items)
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    drawn = np.random.default_rng(seed).random(count)
    within = drawn[np.lexsort((drawn, owner))]  # rising along each sequence
    order = np.argsort(within, kind="stable")
    time_ms = START_MS + STEP_MS * np.arange(count)
    events = np.zeros(count, EVENT)
    events["offset"] = np.arange(count)
    events["timestamp_ms"] = events["time_ms"] = time_ms
    events["event_id"] = 1 + np.arange(count)
    events["step_first"] = np.arange(count)
    events["steps_count"] = 1
    events["user"] = owner[order]
    events["event_type"] = EVENT_TYPES.index("click")
    steps = np.zeros(count, STEP)
    steps["event_id"] = events["event_id"]
    steps["item"] = items[order]
    steps["time_ms"] = time_ms
    steps["source"] = 4 * events["offset"]
    steps["price_cents"] = -1
    steps["quantity"] = 1
    steps["action"] = ACTIONS.index("view")
    users = [b"%d" % number for number in range(len(sequences))]
    last_of = np.full(count, -1)
    last_of[sequences.first[1:] - 1] = np.arange(len(sequences))
    return EventLog(events, steps, users, int(time_ms[-1])), last_of[order]


def random_cuts(events: int, seed: int) -> list[int]:
    """Draw where batches end: from one event to a full batch, all sizes alike."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, EVENTS_MAX + 1, 2 * events // EVENTS_MAX + 8)
    cuts: list[int] = np.cumsum(sizes).tolist()
    return cuts


def list_ranks(lists: npt.NDArray[np.integer], target: npt.NDArray[np.integer]) -> Integers:
    """Place of each target in its list, from 1: (Q,); 0: not in it, or unknown."""
    found = (lists == target[:, None]) & (target[:, None] > 0)
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1, 0)
