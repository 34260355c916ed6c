"""merge_heads against the reference merge: everything there, or as much as has arrived."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.core.layout import NEVER_MS
from stream.core.merge import merge_heads
from tests.oracle.merge import Name, legal_merge, reference_merge
from tests.oracle.records import Event

times = st.lists(st.one_of(st.integers(0, 6), st.just(NEVER_MS)), max_size=7)
three = st.tuples(times, times, times).map(
    lambda lists: [
        [Event(b"a", topic, 10 + k, time_ms, 0) for k, time_ms in enumerate(times_ms)]
        for topic, times_ms in enumerate(lists)
    ]
)


def taken(
    heads: list[list[Event]], rows_max: int, may_end: tuple[bool, bool, bool] = (False,) * 3
) -> list[Event]:
    """Take what one call takes, and remove it from the heads."""
    columns = [np.array([event.time_ms for event in topic], np.int64) for topic in heads]
    topics, indices = np.zeros(rows_max, np.uint8), np.zeros(rows_max, np.int32)
    count = merge_heads(columns[0], columns[1], columns[2], np.array(may_end), topics, indices)
    rows = list(zip(topics[:count].tolist(), indices[:count].tolist(), strict=True))
    events = [heads[topic][index] for topic, index in rows]
    for topic, events_of in enumerate(heads):
        used = [index for of, index in rows if of == topic]
        assert used == list(range(len(used)))
        del events_of[: len(used)]
    return events


def names(events: list[Event]) -> list[Name]:
    return [(event.topic, event.offset) for event in events]


@given(three, st.integers(1, 8))
def test_calls_in_a_row_give_the_reference_merge(topics: list[list[Event]], rows_max: int) -> None:
    heads = [list(topic) for topic in topics]
    order: list[Event] = []
    while any(heads):
        before = [len(topic) for topic in heads]
        events = taken(heads, rows_max)
        assert events
        order += events
        # It stops where a topic runs dry, since that topic's next row could come first.
        emptied = [k for k, topic in enumerate(heads) if before[k] and not topic]
        assert len(emptied) <= 1
        assert emptied or len(events) == rows_max
    assert names(order) == names(reference_merge(topics))


@given(three, st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_a_topic_that_may_end_is_gone_on_without(
    topics: list[list[Event]], may_end: tuple[bool, bool, bool]
) -> None:
    heads = [list(topic) for topic in topics]
    events = taken(heads, 99, may_end)
    assert names(events) == names(reference_merge(topics))[: len(events)]
    emptied = [k for k, topic in enumerate(topics) if topic and not heads[k]]
    if any(heads):  # it stopped at the first one that must not end
        assert len([k for k in emptied if not may_end[k]]) == 1
        assert events[-1].topic == next(k for k in emptied if not may_end[k])


@given(three, st.data())
def test_what_has_arrived_is_merged_legally(topics: list[list[Event]], data: st.DataObject) -> None:
    rest = [list(topic) for topic in topics]
    heads: list[list[Event]] = [[] for _ in topics]
    arrived: dict[Name, int] = {}
    order: list[Name] = []
    while any(rest) or any(heads):
        if any(rest) and (not any(heads) or data.draw(st.booleans())):
            topic = data.draw(st.sampled_from([k for k, events in enumerate(rest) if events]))
            event = rest[topic].pop(0)
            heads[topic].append(event)
            arrived[event.topic, event.offset] = len(order)
        else:
            order += names(taken(heads, data.draw(st.integers(1, 4))))
    assert legal_merge(order, topics, arrived) == []
