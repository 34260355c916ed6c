"""gather_rows against picking the rows one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.core.layout import EVENT
from stream.core.merge import gather_rows

heads = st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 2)), max_size=6)  # user, steps


@given(st.tuples(heads, heads, heads), st.data())
def test_rows_steps_and_users_are_those_of_their_topics(three, data):
    tops = data.draw(st.permutations([t for t, rows in enumerate(three) for _ in rows]))
    topics = np.array(tops[: data.draw(st.integers(0, len(tops)))], np.uint8)
    columns, steps = [], []
    for topic, rows in enumerate(three):
        events = np.zeros(len(rows), EVENT)
        for index, (user, count) in enumerate(rows):
            events[index]["user"], events[index]["steps_count"] = user, count
            events[index]["offset"], events[index]["topic"] = 100 + index, topic
        counts = events["steps_count"]
        events["step_first"] = np.cumsum(counts) - counts + 7  # the head is not the first row
        columns.append(events)
        steps.append([(topic, index, k) for index, (_, n) in enumerate(rows) for k in range(n)])
    out = np.zeros(len(topics), EVENT)
    names, spans = np.zeros((len(topics), 2), np.int32), np.zeros((3, 3), np.int64)
    numbers = [np.full(5, -1, np.int32) for _ in range(3)]
    users = gather_rows(topics, *columns, *numbers, out, names, spans)
    laid = []
    for topic, (_, first, count) in enumerate(spans.tolist()):
        laid += steps[topic][first - 7 : first - 7 + count] if count else []
    at = [0, 0, 0]
    for row, topic in zip(out, topics.tolist(), strict=True):
        index, (user, count) = at[topic], three[topic][at[topic]]
        at[topic] += 1
        assert (row["topic"], row["offset"], row["steps_count"]) == (topic, 100 + index, count)
        mine = laid[row["step_first"] : row["step_first"] + count]
        assert mine == [(topic, index, k) for k in range(count)]
        assert (row["user"] < 0) == (user < 0)
        if user >= 0:
            assert names[row["user"]].tolist() == [topic, user]
    assert at == spans[:, 0].tolist()
    assert len({tuple(name) for name in names[:users].tolist()}) == users
