"""Plans made by hand: segments of steps, each with the pool rows it starts from and ends in."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stream.core.features import HEAD_COUNT
from stream.core.layout import STEP, Records
from stream.core.plan import Plan
from stream.model.bundle import Bundle
from stream.model.vocabulary import hash_32

START_MS = 1_767_571_200_000


class Segment(NamedTuple):
    steps: Records
    gap_ms: np.ndarray
    pool_in: int = -1
    pool_out: int = -1
    scored: tuple[int, ...] = (-1,)  # steps of the segment after which a row is scored


def history(bundle: Bundle, length: int, seed: int) -> tuple[Records, np.ndarray]:
    """Draw a user's steps, all kinds mixed, and the gaps between them; the first gap is -1."""
    rng = np.random.default_rng(seed)
    keys = bundle.vocabulary.item_map.keys
    keys = keys[keys > 0]
    steps = np.zeros(length, STEP)
    gap_ms = rng.lognormal(11, 2, length).astype(np.int64)
    gap_ms[0] = -1
    steps["time_ms"] = START_MS + np.cumsum(np.maximum(gap_ms, 0))
    steps["item"] = rng.choice(keys, length)
    steps["item"][rng.random(length) < 0.2] = 0
    steps["item"][rng.random(length) < 0.1] = 2**60 + 7
    names = bundle.vocabulary.texts.categories
    steps["category"] = [hash_32(names[index]) for index in rng.integers(0, len(names), length)]
    steps["price_cents"] = rng.integers(-1, 50_000, length)
    steps["tokens"] = rng.integers(0, 2**16, (length, 4)) * (rng.random((length, 4)) < 0.3)
    steps["quantity"] = 1
    steps["event_type"] = rng.integers(0, 3, length)
    steps["action"] = rng.integers(0, 6, length)
    return steps, gap_ms


def plan_of(
    segments: Sequence[Segment], *, head_seed: int = 0, recent: np.ndarray | None = None
) -> Plan:
    """Lay segments out as a plan. Rows come in the order of segments, then of steps."""
    row_step = []
    first = 0
    for segment in segments:
        length = len(segment.steps)
        row_step += [first + place % length for place in segment.scored]
        first += length
    rows = len(row_step)
    rng = np.random.default_rng(head_seed)
    lengths = [len(segment.steps) for segment in segments]
    waves = [np.arange(length) for length in lengths]
    empty = np.zeros(0, np.int64)
    return Plan(
        steps=np.concatenate([np.zeros(0, STEP), *(segment.steps for segment in segments)]),
        gap_ms=np.concatenate([empty, *(segment.gap_ms for segment in segments)]),
        segment=np.repeat(np.arange(len(segments)), lengths).astype(np.int32),
        wave=np.concatenate([empty, *waves]).astype(np.int32),
        pool_in=np.array([segment.pool_in for segment in segments], np.int32),
        pool_out=np.array([segment.pool_out for segment in segments], np.int32),
        row_step=np.array(row_step, np.int32),
        head=rng.integers(0, 50, (rows, HEAD_COUNT)).astype(np.float32),
        context=np.zeros((rows, 3), np.uint32),
        recent=np.zeros((rows, 0), np.uint64) if recent is None else recent,
        listed=np.ones(rows, bool),
    )
