"""Merging the topics of a partition by event time: the plain way, and which orders are legal."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.oracle.records import Event

Name = tuple[int, int]  # (topic, offset)


class Inversion(NamedTuple):
    """A row taken although another topic's head, taken later, came before it."""

    position: int  # in the order, from 0
    taken: Name
    passed_over: Name


def merge_key(event: Event) -> tuple[int, int, int]:
    """Order heads by event time, topic code, offset. Without event time: NEVER_MS, so first."""
    return event.time_ms, event.topic, event.offset


def reference_merge(topics: Sequence[Sequence[Event]]) -> list[Event]:
    """Merge topics whose heads are always there. Each topic stays in its own order."""
    rest = [list(topic) for topic in topics]
    merged: list[Event] = []
    while any(rest):
        heads = [topic for topic in rest if topic]
        least = min(heads, key=lambda topic: merge_key(topic[0]))
        merged.append(least.pop(0))
    return merged


def inversions(order: Sequence[Name], topics: Sequence[Sequence[Event]]) -> list[Inversion]:
    """List where the order took a row while a smaller head of another topic was still to come."""
    rest = {topic[0].topic: list(topic) for topic in topics if topic}
    left = dict.fromkeys(rest, 0)
    for topic, _ in order:
        left[topic] += 1  # rows of the topic that the order takes from here on
    found: list[Inversion] = []
    for position, (topic, offset) in enumerate(order):
        head = rest[topic].pop(0)
        left[topic] -= 1
        for other, events in rest.items():
            if other != topic and left[other] and merge_key(events[0]) < merge_key(head):
                found.append(Inversion(position, (topic, offset), (other, events[0].offset)))
    return found


def legal_merge(
    order: Sequence[Name],
    topics: Sequence[Sequence[Event]],
    arrived: Mapping[Name, int] | None = None,
) -> list[str]:
    """List what is wrong with a recorded order; an empty list: it was a legal merge of heads.

    order: the (topic, offset) of the applied rows by partition_seq. topics: each topic's events
    in offset order. The rows taken of a topic must be its first ones, in order, each once.
    arrived: for each event the number of rows that had been applied when it was first there to be
    taken (0: from the start); an inversion is legal only over a head that had not arrived.
    Without `arrived` all were there from the start, so only `reference_merge`'s order is legal.
    """
    expected = {topic[0].topic: [event.offset for event in topic] for topic in topics if topic}
    problems: list[str] = []
    taken: dict[int, int] = {}
    for position, (topic, offset) in enumerate(order):
        index = taken.get(topic, 0)
        offsets = expected.get(topic, [])
        if index >= len(offsets):
            problems.append(f"row {position}: topic {topic} has no more rows, yet {offset}")
        elif offsets[index] != offset:
            problems.append(f"row {position}: topic {topic} gave {offset}, not {offsets[index]}")
        taken[topic] = index + 1
    if problems:
        return problems
    for position, name, passed_over in inversions(order, topics):
        if arrived is None or arrived[passed_over] <= position:
            problems.append(f"row {position}: {name} taken before {passed_over}, which was there")
    return problems
