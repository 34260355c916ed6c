"""Training cuts sequences as serving does: what was recorded, against docs/engine.md."""

from collections import defaultdict

import numpy as np

from export.dataset.event_log import EventLog, batches
from export.dataset.record import Recorded, record
from stream.core.layout import Outcome, Reason
from stream.core.window import scored_steps
from tests.export.conftest import CONFIG


def test_the_log_is_merged_by_event_time(log: EventLog) -> None:
    events = log.events
    for topic in range(3):
        offsets = events["offset"][events["topic"] == topic]
        assert np.array_equal(offsets, np.arange(len(offsets))), "a topic's rows keep their order"
    good = events["time_ms"][events["reason"] == Reason.NONE]
    late = np.mean(good < np.maximum.accumulate(np.where(good < log.end_ms, good, 0)))
    assert late < 0.05, "an event from the future must not hold its topic back"
    assert sum(len(piece.batch.events) for piece in batches(log, 100)) == len(events)


def test_most_events_are_predicted(log: EventLog, recorded: Recorded) -> None:
    assert len(recorded.rows) > 0.9 * len(log.events)
    assert np.all(recorded.rows["outcome"] == Outcome.PREDICTED)
    assert np.array_equal(recorded.rows["partition_seq"], np.sort(recorded.rows["partition_seq"]))


def test_sequences_have_the_length_that_the_rule_says(recorded: Recorded) -> None:
    """A user's n is known by counting: its rows in order, their steps summed up."""
    limit = 2 * CONFIG.refresh_steps
    assert recorded.position.max() == limit - 1
    assert np.array_equal(np.bincount(recorded.sequence) > 0, np.ones(recorded.sequence.max() + 1))
    seen: dict[int, int] = defaultdict(int)
    checked = 0
    for user, row, place, late in zip(
        recorded.user, recorded.rows, recorded.row_position, recorded.rows["late"], strict=True
    ):
        seen[int(user)] += 1
        one_step_each = row["user_seq"] == seen[int(user)] and row["window_len"] <= 8
        if not late and one_step_each and seen[int(user)] <= limit:
            expected = scored_steps(int(recorded.head[checked, 21]), CONFIG.refresh_steps)
            assert place + 1 == min(expected, row["window_len"])
        checked += 1
    assert checked == len(recorded.rows)


def test_only_the_first_step_of_a_sequence_has_none_before_it(recorded: Recorded) -> None:
    assert np.array_equal(recorded.gap_ms < 0, recorded.position == 0)
    order = np.lexsort((recorded.position, recorded.sequence))
    steps, gap = recorded.steps[order], recorded.gap_ms[order]
    inside = recorded.position[order][1:] > 0
    assert np.array_equal(np.diff(steps["time_ms"])[inside], gap[1:][inside])


def test_the_items_of_the_window_are_named_exactly(recorded: Recorded) -> None:
    """All 64 bits: a hash that went through a float would never be found again."""
    asked = (recorded.item != 0) & (recorded.rows["late"] == 0)
    assert (recorded.recent == recorded.item[:, None]).any(axis=1)[asked].all()


def test_batches_do_not_matter(log: EventLog, recorded: Recorded) -> None:
    """Cut small, states are carried between plans; the sequences are the same."""
    import export.dataset.record as room  # noqa: PLC0415

    small = room.batches
    room.batches = lambda whole, cuts: batches(whole, 97, cuts)  # type: ignore[assignment]
    try:
        again = record(log, CONFIG)
    finally:
        room.batches = small
    for name in ("row_position", "head", "context", "user", "item", "event_type"):
        assert np.array_equal(getattr(again, name), getattr(recorded, name)), name
    assert np.array_equal(_windows(again), _windows(recorded))


def _windows(recorded: Recorded) -> np.ndarray:
    """A number per row that depends on every step of its sequence up to the row, in order."""
    order = np.lexsort((recorded.position, recorded.sequence))
    starts = np.flatnonzero(recorded.position[order] == 0)
    digest = np.zeros(len(order), np.uint64)
    value = np.uint64(0)
    firsts = set(starts.tolist())
    with np.errstate(over="ignore"):
        for place, step in enumerate(order.tolist()):
            value = np.uint64(0) if place in firsts else value
            event = recorded.steps["event_id"][step] ^ recorded.steps["item"][step]
            value = value * np.uint64(6364136223846793005) + event + np.uint64(1)
            digest[place] = value
    at = starts[recorded.row_sequence] + recorded.row_position
    return digest[at]
