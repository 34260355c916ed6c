"""Merge what stands at the head of a partition's three topics into one batch (DESIGN decision 3).

A topic that has no row is waited for: briefly if it is caught up, long if it is known to be behind.
Waiting is counted from the moment at which the oldest head came.
"""

from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from stream.core.layout import EVENT, NEVER_MS, STEP, TOPICS, Records
from stream.core.merge import gather_rows, merge_heads
from stream.core.results import Batch
from stream.flow.buffer import TopicBuffer
from stream.flow.ports import Rests
from stream.wire.decode import Decoded, Decoder

_NO_TIMES = np.zeros(0, np.int64)
_EMPTY: Records = np.zeros(0, EVENT)


@dataclass(slots=True)
class Origin:
    """Where a batch's rows come from, and where each topic stands after them."""

    topics: Records  # (n,) uint8
    indices: Records  # (n,) int32, into the decoded rows of that topic
    decoded: list[Decoded | None]  # per topic
    offset_last: list[int] = field(default_factory=lambda: [-1] * len(TOPICS))
    offset_after: list[int] = field(default_factory=lambda: [-1] * len(TOPICS))
    received_ms: int = 0  # wall clock at which the oldest chunk in it came

    def original(self, row: int) -> tuple[bytes | None, bytes | None, str]:
        """Return key, value and the decoder's message of a row."""
        decoded, index = self._place(row)
        records = decoded.records
        return records.key(index), records.value(index), decoded.messages.get(index, "")

    def explain(self, row: int, message: str) -> None:
        """Have a dead letter's message say this of a row."""
        decoded, index = self._place(row)
        decoded.messages[index] = message

    def _place(self, row: int) -> tuple[Decoded, int]:
        """Find a row among the decoded ones of its topic."""
        decoded = self.decoded[self.topics[row]]
        if decoded is None:
            raise RuntimeError(f"row {row} of a topic without rows")
        return decoded, int(self.indices[row])


class Order:
    """The merge of one partition number."""

    def __init__(
        self,
        decoder: Decoder,
        pool: Executor,
        merge_wait_ms: int,
        merge_hold_ms: int,
        future_ms_max: int,
        at_once_rows_max: int = 0,
        rests: Rests = lambda *_: False,
    ) -> None:
        self._decoder = decoder
        self._pool = pool
        self._future_ms_max = future_ms_max
        self._at_once_rows_max = at_once_rows_max
        self._wait_ms = merge_wait_ms
        self._rests = rests
        self._hold_ms = merge_hold_ms
        # By topic: times that it was known to be behind and not waited for any longer.
        self.holds_over = [0] * len(TOPICS)

    def take(
        self, buffers: list[TopicBuffer], rows_max: int, now_ms: int
    ) -> tuple[Batch, Origin] | None:
        """Take the next rows in merged order; None while there are none, or a topic is awaited."""
        for buffer in buffers:
            buffer.fill(self._decoder, self._pool, rows_max, self._at_once_rows_max)
        if not self._may_go_on(buffers, now_ms):
            return None
        times = [self._times(buffer) for buffer in buffers]
        topics = np.empty(rows_max, np.uint8)
        indices = np.empty(rows_max, np.int32)
        may_end = np.array([self._may_end(buffer, buffers, now_ms) for buffer in buffers])
        count = merge_heads(times[0], times[1], times[2], may_end, topics, indices)
        return self._collect(buffers, topics[:count], indices[:count])

    def _times(self, buffer: TopicBuffer) -> Records:
        """Give the times by which a topic's rows are merged, (n,) int64.

        One from the future is refused by the engine; it must not make its topic wait till then.
        """
        if buffer.front is None or not buffer.rows_front:
            return _NO_TIMES
        events = buffer.front.events[buffer.taken :]
        ahead_ms = events["time_ms"] - events["timestamp_ms"]
        return np.where(ahead_ms > self._future_ms_max, NEVER_MS, events["time_ms"])

    def _may_end(self, buffer: TopicBuffer, buffers: list[TopicBuffer], now_ms: int) -> bool:
        """Whether the others, once this topic has run out, would not wait for it any more."""
        others = [other.front_received_ms for other in buffers if other.rows_front]
        if not buffer.caught_up or buffer.more_waiting or not others:
            return False
        return not self._is_awaited(buffer, max(others), now_ms)

    def _is_awaited(self, buffer: TopicBuffer, since_ms: int, now_ms: int) -> bool:
        """Whether rows that came at `since_ms` wait for a topic that is caught up.

        Not once they have waited, and not when nothing can come of it as long as they would.
        """
        if not 0 <= now_ms - since_ms < self._wait_ms:  # below 0: the clock has been set back
            return False
        position = buffer.decoded_next()  # a chunk may have come since the front was filled
        until_ms = since_ms + self._wait_ms
        return position is None or not self._rests(
            buffer.name, buffer.partition, position, until_ms
        )

    def _may_go_on(self, buffers: list[TopicBuffer], now_ms: int) -> bool:
        present = [buffer for buffer in buffers if buffer.rows_front]
        if not present:
            return False
        since_ms = min(buffer.front_received_ms for buffer in present)
        for buffer in buffers:
            if buffer.rows_front:
                continue
            if buffer.caught_up:
                if self._is_awaited(buffer, since_ms, now_ms):
                    return False
            # Not with the clock set back: then nothing is waited for, not for hours.
            elif 0 <= now_ms - since_ms < self._hold_ms:
                return False
            else:
                self.holds_over[buffer.topic] += 1
        return True

    def _collect(
        self,
        buffers: list[TopicBuffer],
        topics: Records,
        indices: Records,
    ) -> tuple[Batch, Origin]:
        """Copy the rows taken into one batch, with one list of users."""
        events = np.empty(len(topics), EVENT)
        names = np.empty((len(topics), 2), np.int32)
        spans = np.zeros((len(buffers), 3), np.int64)
        heads = [_EMPTY if b.front is None else b.front.events[b.taken :] for b in buffers]
        keys = [[] if b.front is None else b.front.users for b in buffers]
        numbers = [np.full(len(users), -1, np.int32) for users in keys]
        users_count = gather_rows(
            topics, heads[0], heads[1], heads[2], numbers[0], numbers[1], numbers[2],
            events, names, spans,
        )  # fmt: skip
        users = [keys[topic][number] for topic, number in names[:users_count].tolist()]
        steps = []
        origin = Origin(topics, indices, [None] * len(buffers))
        received = []
        for buffer, (rows, first_step, steps_count) in zip(buffers, spans.tolist(), strict=True):
            front = buffer.front
            if not rows or front is None:
                continue
            indices[topics == buffer.topic] += buffer.taken
            steps.append(front.steps[first_step : first_step + steps_count])
            origin.decoded[buffer.topic] = front
            last = int(front.events["offset"][buffer.taken + rows - 1])
            buffer.take(rows)
            origin.offset_last[buffer.topic] = last
            origin.offset_after[buffer.topic] = buffer.after(last)
            received.append(buffer.front_received_ms)
        origin.received_ms = min(received)
        all_steps = steps[0].copy() if len(steps) == 1 else np.concatenate(steps, dtype=STEP)
        return Batch(events, all_steps, _join_users(events, users)), origin


def _join_users(events: Records, names: list[bytes]) -> list[bytes]:
    """Make one number of a user that occurs in several topics. 0.1 us a name."""
    numbers: dict[bytes, int] = {}
    place = [numbers.setdefault(name, len(numbers)) for name in names]
    if len(numbers) < len(names):
        joined = np.array([*place, -1], np.int32)  # the last one serves -1
        events["user"] = joined[events["user"]]
    return list(numbers)
