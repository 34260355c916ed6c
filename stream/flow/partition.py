"""One partition number in a worker: its engine, its three buffers, and the row it stands at.

`offset_next` is the unit of truth (DESIGN decision 4): per topic the first offset whose effect is
not in the engine's state. It moves when rows are settled, never when they are fetched or decoded.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

import numpy as np

from stream.core.coalesce import coalesce
from stream.core.engine import Engine
from stream.core.layout import TOPICS, Outcome
from stream.core.results import Applied, Batch, Settled
from stream.flow.buffer import TopicBuffer
from stream.flow.erasures import Erasures
from stream.flow.limits import FlowLimits
from stream.flow.order import Order, Origin
from stream.flow.ports import Rests
from stream.flow.receipts import Receipts
from stream.wire.decode import Decoder

OUTCOMES: Final = tuple(outcome.name.lower() for outcome in Outcome)
_DEAD: Final = int(Outcome.DEAD_LETTERED)
_MINUTE_MS: Final = 60_000


@dataclass(slots=True)
class Taken:
    """A batch and the first of its rows that is still to be applied."""

    batch: Batch
    origin: Origin
    first: int = 0

    @property
    def rows_count(self) -> int:
        """Count the rows that are still to be applied."""
        return len(self.batch.events) - self.first


class Partition:
    """Used by the worker's thread alone, but for `TopicBuffer.append`."""

    def __init__(
        self,
        engine: Engine,
        buffers: list[TopicBuffer],
        order: Order,
        outcomes: Mapping[str, int],
        dead_letters_per_minute_max: int,
        catch_up_ms: int = 0,
    ) -> None:
        self.engine = engine
        self.number = engine.partition
        self.buffers = buffers
        self.offset_next = [buffer.offset_next for buffer in buffers]
        self.outcomes = Counter(outcomes)
        self.receipts = Receipts(self.offset_next)
        self.erasures = Erasures()
        self.rows_open = 0  # settled since the last commit
        self.committed_next = list(self.offset_next)
        self._closed_next = list(self.offset_next)  # what the last commit begun covers
        self._order = order
        self._rest: Taken | None = None
        self._rows_taken = 0  # taken from the buffers and not yet settled
        self._catch_up_ms = catch_up_ms
        self._dead_max = dead_letters_per_minute_max
        self._dead_minute = -1
        self._dead_count = 0

    def take(self, rows_max: int, now_ms: int) -> Taken | None:
        """Take the next rows: what is left of the last batch, or a new one."""
        if self._rest is not None:
            rest, self._rest = self._rest, None
            return rest
        if self._dead_count > self._dead_max and now_ms // _MINUTE_MS == self._dead_minute:
            return None
        taken = self._order.take(self.buffers, rows_max, now_ms)
        if taken is None:
            return None
        self._rows_taken += len(taken[0].events)
        return Taken(*taken)

    @property
    def rows_waiting(self) -> int:
        """Count rows that are here and not yet taken, about."""
        rest = 0 if self._rest is None else self._rest.rows_count
        return rest + sum(buffer.rows_count for buffer in self.buffers)

    def apply(self, taken: Taken, now_ms: int) -> Applied:
        """Apply a batch as far as it goes, and keep what is left of it for the next turn."""
        applied = self.engine.apply(taken.batch, taken.first)
        if applied.rows_next < len(taken.batch.events):
            self._rest = Taken(taken.batch, taken.origin, applied.rows_next)
        times_ms = taken.batch.events["timestamp_ms"][taken.first : applied.rows_next]
        if self._catch_up_ms and now_ms - int(times_ms.max(initial=0)) > self._catch_up_ms:
            coalesce(applied)
        return applied

    def note_settled(self, taken: Taken, settled: Settled, now_ms: int) -> None:
        """Move the position past settled rows and count them."""
        rows = settled.rows
        self._rows_taken -= len(rows)
        origin = taken.origin
        for topic in range(len(TOPICS)):
            mine = rows["offset"][rows["topic"] == topic]
            if len(mine):
                last = int(mine[-1])
                whole = last == origin.offset_last[topic]
                self.offset_next[topic] = origin.offset_after[topic] if whole else last + 1
        counts = np.bincount(rows["outcome"], minlength=len(OUTCOMES)).tolist()
        for name, count in zip(OUTCOMES, counts, strict=True):
            self.outcomes[name] += count
        self._count_dead(counts[_DEAD], now_ms)
        self.receipts.add(rows)
        self.erasures.add(self.engine, rows, taken.batch.users, now_ms)
        self.rows_open += len(rows)

    def pass_holes(self) -> None:
        """Move the position past offsets that hold no row, when there is no row before them."""
        if self._rows_taken:
            return
        for topic, buffer in enumerate(self.buffers):
            position = buffer.idle_next()
            if position is not None:
                self.offset_next[topic] = max(self.offset_next[topic], position)

    @property
    def holds_over(self) -> list[int]:
        """Times, by topic, that its rows went on without it though it was known to be behind."""
        return self._order.holds_over

    @property
    def moved(self) -> bool:
        """Whether a commit would say anything new."""
        return self.rows_open > 0 or self.offset_next != self._closed_next

    def note_closed(self) -> None:
        """Begin a new transaction's account: a commit of all rows settled so far has begun."""
        self.rows_open = 0
        self._closed_next = list(self.offset_next)

    def note_committed(self, offset_next: Mapping[str, int]) -> None:
        """Keep the positions of a commit that is through."""
        self.committed_next = [offset_next[buffer.name] for buffer in self.buffers]

    def positions(self) -> dict[str, int]:
        """Give the position by the topic's name on the broker."""
        return {buffer.name: self.offset_next[buffer.topic] for buffer in self.buffers}

    def _count_dead(self, count: int, now_ms: int) -> None:
        minute = now_ms // _MINUTE_MS
        if minute != self._dead_minute:
            self._dead_minute = minute
            self._dead_count = 0
        self._dead_count += count


def open_partition(
    engine: Engine,
    outcomes: Mapping[str, int],
    inputs: Sequence[str],
    starts: Mapping[str, int],
    decoder: Decoder,
    decoding: Executor,
    limits: FlowLimits,
    rests: Rests,
) -> Partition:
    """Make the partition of a restored engine; `starts`: next offset by the topic's name."""
    buffers = [
        TopicBuffer(topic, name, engine.partition, starts[name])
        for topic, name in enumerate(inputs)
    ]
    order = Order(
        decoder, decoding, limits.merge_wait_ms, limits.merge_hold_ms, limits.future_ms_max,
        limits.at_once_rows_max, rests,
    )  # fmt: skip
    return Partition(
        engine, buffers, order, outcomes, limits.dead_letters_per_minute_max, limits.catch_up_ms
    )
