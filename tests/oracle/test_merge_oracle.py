"""The reference merge and the judge of orders."""

from hypothesis import given
from hypothesis import strategies as st

from stream.core.layout import NEVER_MS
from tests.oracle.merge import Name, legal_merge, reference_merge
from tests.oracle.records import Event


def topic_of(topic: int, times_ms: list[int]) -> list[Event]:
    return [Event(b"a", topic, 10 + k, time_ms, 0) for k, time_ms in enumerate(times_ms)]


def names(events: list[Event]) -> list[Name]:
    return [(event.topic, event.offset) for event in events]


times = st.lists(st.one_of(st.integers(0, 6), st.just(NEVER_MS)), max_size=6)
three = st.tuples(times, times, times).map(
    lambda lists: [topic_of(topic, times_ms) for topic, times_ms in enumerate(lists)]
)


def test_heads_are_merged_by_time_topic_and_offset() -> None:
    topics = [topic_of(0, [5, 1, 7]), topic_of(1, [5, 6]), topic_of(2, [NEVER_MS, 5])]
    assert names(reference_merge(topics)) == [
        (2, 10),  # without a time: before everything
        (0, 10),
        (0, 11),  # late: behind its topic's head it could not come earlier
        (1, 10),
        (2, 11),
        (1, 11),
        (0, 12),
    ]


@given(three)
def test_the_reference_merge_is_legal_and_no_other_order_is(topics: list[list[Event]]) -> None:
    order = names(reference_merge(topics))
    assert legal_merge(order, topics) == []
    assert all(legal_merge(order[:cut], topics) == [] for cut in range(len(order)))
    for k in range(len(order) - 1):
        swapped = [*order[:k], order[k + 1], order[k], *order[k + 2 :]]
        assert legal_merge(swapped, topics) != []


@given(three, st.data())
def test_rows_must_be_a_prefix_of_each_topic(
    topics: list[list[Event]], data: st.DataObject
) -> None:
    order = names(reference_merge(topics))
    if not order:
        return
    k = data.draw(st.integers(0, len(order) - 1))
    assert legal_merge([*order[: k + 1], order[k], *order[k + 1 :]], topics) != []
    later = [topic for topic, _ in order[k + 1 :]]
    if order[k][0] in later:
        assert legal_merge([*order[:k], *order[k + 1 :]], topics) != []
    assert legal_merge([*order, (0, 99)], topics) != []


@given(three, st.data())
def test_a_merge_of_what_has_arrived_is_legal(
    topics: list[list[Event]], data: st.DataObject
) -> None:
    rest = [list(topic) for topic in topics]
    there: list[list[Event]] = [[] for _ in topics]
    arrived: dict[Name, int] = {}
    order: list[Name] = []
    while any(rest) or any(there):
        if any(rest) and (not any(there) or data.draw(st.booleans())):
            topic = data.draw(st.sampled_from([k for k, events in enumerate(rest) if events]))
            event = rest[topic].pop(0)
            there[topic].append(event)
            arrived[event.topic, event.offset] = len(order)
        else:
            head = reference_merge(there)[0]
            order += names([there[head.topic].pop(0)])
    assert legal_merge(order, topics, arrived) == []
    if legal_merge(order, topics):
        assert legal_merge(order, topics, dict.fromkeys(arrived, 0)) != []
