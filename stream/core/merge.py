"""Merge the heads of the three topics by (event time, topic, offset), and lay the rows together."""

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import Records


@compiled
def merge_heads(
    times_0: npt.NDArray[np.int64],  # event times of what stands in each topic, in offset order
    times_1: npt.NDArray[np.int64],
    times_2: npt.NDArray[np.int64],
    may_end: npt.NDArray[np.bool_],  # (3,) topics that may run out: the others go on without them
    topics: npt.NDArray[np.uint8],  # (R,) written: topic of each row taken
    indices: npt.NDArray[np.int32],  # (R,) written: its index in that topic's times
) -> int:
    """Take heads until a topic that has rows has none left, or R rows; returns how many.

    Equal times go by topic. Topics that are empty from the start are left out, and those that may
    end are from then on: the caller has decided not to wait for them. About 10 ns a row.
    """
    size_0, size_1, size_2 = len(times_0), len(times_1), len(times_2)
    at_0 = at_1 = at_2 = 0
    count = 0
    while count < len(topics):
        best = -1
        best_ms = np.int64(0)
        if at_0 < size_0:
            best = 0
            best_ms = times_0[at_0]
        if at_1 < size_1 and (best < 0 or times_1[at_1] < best_ms):
            best = 1
            best_ms = times_1[at_1]
        if at_2 < size_2 and (best < 0 or times_2[at_2] < best_ms):
            best = 2
        if best < 0:
            break
        topics[count] = best
        if best == 0:
            indices[count] = at_0
            at_0 += 1
            ended = at_0 == size_0 and not may_end[0]
        elif best == 1:
            indices[count] = at_1
            at_1 += 1
            ended = at_1 == size_1 and not may_end[1]
        else:
            indices[count] = at_2
            at_2 += 1
            ended = at_2 == size_2 and not may_end[2]
        count += 1
        if ended:
            break
    return count


@compiled
def gather_rows(
    topics: npt.NDArray[np.uint8],  # (n,) topic of each row
    head_0: Records,  # EVENT: what stands in each topic, from the head on
    head_1: Records,
    head_2: Records,
    numbers_0: npt.NDArray[np.int32],  # (U,) -1 for each of the topic's users; written
    numbers_1: npt.NDArray[np.int32],
    numbers_2: npt.NDArray[np.int32],
    events: Records,  # (n,) EVENT, written
    names: npt.NDArray[np.int32],  # (n, 2) written: topic and number there of each user here
    spans: npt.NDArray[np.int64],  # (3, 3) 0, written: per topic its rows, first step, steps
) -> int:
    """Copy the rows taken, in their order; users get new numbers as they occur.

    Steps are to lie topic after topic. Returns how many users. About 30 ns a row.
    """
    for index in range(len(topics)):
        topic = topics[index]
        at = spans[topic, 0]
        row = head_0[at] if topic == 0 else head_1[at] if topic == 1 else head_2[at]
        events[index] = row
        if row.steps_count > 0 and spans[topic, 2] == 0:
            spans[topic, 1] = row.step_first
        spans[topic, 2] += row.steps_count
        spans[topic, 0] += 1
    users = 0
    for index in range(len(topics)):
        event = events[index]
        topic = topics[index]
        before = np.int64(0)  # steps of the topics before
        for other in range(topic):
            before += spans[other, 2]
        event.step_first += before - spans[topic, 1]
        if event.user < 0:
            continue
        numbers = numbers_0 if topic == 0 else numbers_1 if topic == 1 else numbers_2
        if numbers[event.user] < 0:
            numbers[event.user] = users
            names[users, 0] = topic
            names[users, 1] = event.user
            users += 1
        event.user = numbers[event.user]
    return users
