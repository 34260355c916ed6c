"""Records of one topic partition to arrays: `Decoder.decode`.

Rules of the room: one row per record, in offset order, whatever the bytes. A row is a good event, a
control event (flag, no steps) or a dead letter (`reason`, a message). The decoder keeps bounded
memories of hashes and nothing else, so the same bytes always give the same arrays. Calls may come
from several threads.
"""

from dataclasses import dataclass

import numpy as np

from stream.core.layout import (
    EVENT,
    NEVER_MS,
    PURCHASE_STEPS_MAX,
    STEP,
    TOPICS,
    Reason,
    Records,
    source_of,
)
from stream.wire.event import Accepted, Refused, read_event
from stream.wire.hashing import Memories
from stream.wire.limits import Limits
from stream.wire.plain_events import Rules, new_scratch, read_plain, steps_bound
from stream.wire.records import RecordColumns
from stream.wire.user_numbers import new_table, number_users

_STEPS_MAX = (1, 1, PURCHASE_STEPS_MAX)  # of one event, by topic


@dataclass(slots=True)
class Decoded:
    """One chunk, decoded: n rows in offset order, m steps."""

    topic: int  # index into TOPICS
    partition: int
    offset_first: int  # the chunk covers offset_first .. offset_next - 1
    offset_next: int
    events: Records  # (n,) EVENT; "user" indexes `users`
    steps: Records  # (m,) STEP, those of an event together, in the order of the events
    users: list[bytes]  # distinct keys of good and control events
    records: RecordColumns  # (n,) the originals, for dead letters made later
    messages: dict[int, str]  # row -> message of a dead letter


class Decoder:
    """Decodes chunks of the three input topics. Raises ValueError on limits that cannot work."""

    def __init__(
        self,
        partitions_count: int,
        event_bytes_max: int = 1 << 20,
        skew_ms_max: int = 86_400_000,
    ) -> None:
        self._limits = Limits(partitions_count, event_bytes_max, skew_ms_max)
        self._memories = Memories()

    def decode(
        self,
        topic: int,
        partition: int,
        offset_first: int,
        offset_next: int,
        records: RecordColumns,
    ) -> Decoded:
        """Decode the records of one chunk, which are kept, not copied.

        Raises ValueError when the offsets contradict each other: that is our mistake.
        """
        _check_call(topic, offset_first, offset_next, records)
        events = np.zeros(len(records.offsets), EVENT)
        events["offset"] = records.offsets
        events["timestamp_ms"] = records.timestamps_ms
        events["topic"] = topic
        events["event_type"] = topic
        done, steps = self._read_plain(topic, partition, events, records)
        if done.all():
            messages: dict[int, str] = {}
        else:
            slow, messages = self._read_slow(topic, partition, events, done, records)
            steps = _join_steps(topic, events, steps, slow)
        first_rows = np.empty(len(events), np.int64)
        table = new_table(len(events))
        count = number_users(records.data, records.places, events, first_rows, table)
        users = records.keys_of(first_rows[:count])
        return Decoded(
            topic, partition, offset_first, offset_next, events, steps, users, records, messages
        )

    def _read_plain(
        self, topic: int, partition: int, events: Records, records: RecordColumns
    ) -> tuple[np.ndarray, Records]:
        """Read the rows in which nothing is unusual. Returns their mask (n,) and their steps."""
        limits = self._limits
        rules = Rules(
            topic, partition, limits.partitions_count, limits.event_bytes_max, limits.skew_ms_max
        )
        done = np.zeros(len(events), np.uint8)
        bound = len(events)
        if _STEPS_MAX[topic] > 1:
            bound = steps_bound(records.data, records.places, _STEPS_MAX[topic])
        steps = np.empty(bound, STEP)
        data, places = records.data, records.places
        written = read_plain(rules, data, places, events, steps, done, new_scratch())
        return done.view(np.bool_), steps[:written]

    def _read_slow(
        self,
        topic: int,
        partition: int,
        events: Records,
        done: np.ndarray,
        records: RecordColumns,
    ) -> tuple[dict[int, Accepted], dict[int, str]]:
        """Read the other rows one by one, about 10 us each: the accepted, the refused' messages."""
        accepted: dict[int, Accepted] = {}
        messages: dict[int, str] = {}
        for row in np.flatnonzero(~done).tolist():
            key, value = records.key(row), records.value(row)
            try:
                event = read_event(topic, partition, key, value, self._limits, self._memories)
            except Refused as refused:
                messages[row] = str(refused)
                _write_dead(events, row, refused.reason)
            else:
                accepted[row] = event
                _write_accepted(events, row, event)
        return accepted, messages


def _check_call(topic: int, offset_first: int, offset_next: int, records: RecordColumns) -> None:
    if not 0 <= topic < len(TOPICS):
        raise ValueError(f"topic {topic} is none of {TOPICS}")
    offsets = records.offsets
    if len(offsets) and not offset_first <= offsets[0] <= offsets[-1] < offset_next:
        raise ValueError(
            f"offsets {offsets[0]} to {offsets[-1]} are not in {offset_first} to {offset_next - 1}"
        )


def _write_dead(events: Records, row: int, reason: Reason) -> None:
    offset, timestamp_ms = events["offset"][row], events["timestamp_ms"][row]
    topic = events["topic"][row]
    events[row] = (offset, timestamp_ms, NEVER_MS, 0, 0, 0, -1, 0, 0, 0, topic, topic, reason, 0)


def _write_accepted(events: Records, row: int, event: Accepted) -> None:
    offset, timestamp_ms = events["offset"][row], events["timestamp_ms"][row]
    topic = events["topic"][row]
    events[row] = (
        offset, timestamp_ms, event.time_ms, event.event_id, 0, len(event.steps), -1,
        event.channel, event.device, event.region, topic, topic, Reason.NONE, event.flags,
    )  # fmt: skip


def _join_steps(topic: int, events: Records, plain: Records, slow: dict[int, Accepted]) -> Records:
    """Lay all steps in the order of their events and set step_first."""
    counts = events["steps_count"].astype(np.int64)
    first = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(events)), counts)
    steps = np.zeros(len(owner), STEP)
    steps[~np.isin(owner, list(slow))] = plain
    for row, event in slow.items():
        at = first[row]
        source = source_of(topic, int(events["offset"][row]))
        steps[at : at + len(event.steps)] = [
            (
                event.event_id, item, event.time_ms, source, cents, category, tokens, quantity,
                topic, action,
            )
            for item, cents, category, tokens, quantity, action in event.steps
        ]  # fmt: skip
    events["step_first"] = first
    return steps
