"""Counters, recency and session, boundaries in threes."""

import math

import pytest

from stream.core.config import DAY_MS, HOUR_MS, EngineConfig
from tests.oracle.features import CELL_MAX, window_start
from tests.oracle.script import Script, play

CONFIG = EngineConfig(window_steps=8, refresh_steps=2, watermark_jump_ms_max=400 * DAY_MS)
MINUTE_MS = 60_000
MONDAY = 20_003 * DAY_MS + 0  # 2024-10-07
SIZES = (("1h", 10 * MINUTE_MS, HOUR_MS), ("24h", 4 * HOUR_MS, DAY_MS), ("7d", DAY_MS, 7 * DAY_MS))


def head_after(*times_ms: int) -> dict[str, float]:
    s = Script()
    for time_ms in times_ms:
        s.click("a", time_ms)
    return play(CONFIG, s.events).rows[-1].head


def test_the_monday_is_a_monday() -> None:
    assert window_start(2, MONDAY) == MONDAY
    assert window_start(2, MONDAY - 1) == MONDAY - 7 * DAY_MS
    assert window_start(2, MONDAY + 7 * DAY_MS - 1) == MONDAY


@pytest.mark.parametrize(("name", "bucket_ms", "window_ms"), SIZES)
def test_a_sub_bucket_is_held_until_the_newest_is_a_window_on(
    name: str, bucket_ms: int, window_ms: int
) -> None:
    # The first event lies in the last ms of a sub-bucket, so what counts is the bucket.
    first_ms = MONDAY + bucket_ms - 1
    edge_ms = MONDAY + window_ms  # the first ms at which its sub-bucket is let go
    for time_ms, count in ((edge_ms - 1, 2), (edge_ms, 1), (edge_ms + 1, 1)):
        assert head_after(first_ms, time_ms)[f"count_click_{name}_sliding"] == count


@pytest.mark.parametrize(("name", "bucket_ms", "window_ms"), SIZES)
def test_a_late_event_counts_only_where_its_sub_bucket_is_held(
    name: str, bucket_ms: int, window_ms: int
) -> None:
    newest_ms = MONDAY + window_ms
    oldest_held_ms = MONDAY + bucket_ms
    for late_ms, count in ((oldest_held_ms - 1, 1), (oldest_held_ms, 2), (oldest_held_ms + 1, 2)):
        assert head_after(newest_ms, late_ms)[f"count_click_{name}_sliding"] == count


@pytest.mark.parametrize(("name", "bucket_ms", "window_ms"), SIZES)
def test_tumbling_counts_start_again_with_the_aligned_window(
    name: str, bucket_ms: int, window_ms: int
) -> None:
    start_ms = MONDAY + window_ms
    for time_ms, tumbling in ((start_ms - 1, 2), (start_ms, 1), (start_ms + 1, 1)):
        head = head_after(start_ms - bucket_ms, time_ms)
        assert head[f"count_click_{name}_tumbling"] == tumbling
        assert head[f"count_click_{name}_sliding"] == 2


def test_counts_are_per_event_type_and_saturate() -> None:
    s = Script()
    s.click("a", MONDAY)
    s.search("a", MONDAY)
    s.purchase("a", MONDAY, steps=3)
    played = play(CONFIG, s.events)
    head = played.rows[-1].head
    for kind in ("click", "search", "purchase"):
        assert head[f"count_{kind}_1h_sliding"] == head[f"count_{kind}_7d_tumbling"] == 1
    cell = played.oracle.users[b"a"].counts[0, 0]
    for held, after in ((CELL_MAX - 1, CELL_MAX), (CELL_MAX, CELL_MAX)):
        cell[MONDAY // (10 * MINUTE_MS)] = held
        event = s.click("a", MONDAY + held)
        played.oracle.apply(event)
        assert sum(played.oracle.users[b"a"].counts[0, 0].values()) == after


def test_recency_is_since_the_newest_of_a_type() -> None:
    s = Script()
    s.click("a", MONDAY)
    s.search("a", MONDAY + 50)
    s.click("a", MONDAY + 20)
    head = play(CONFIG, s.events).rows[-1].head
    assert (head["since_click"], head["since_search"], head["since_purchase"]) == (30, 0, -1)


@pytest.mark.parametrize(
    ("gap_ms", "position", "duration_ms"),
    [
        (30 * MINUTE_MS - 1, 3, 30 * MINUTE_MS + 4),
        (30 * MINUTE_MS, 3, 30 * MINUTE_MS + 5),
        (30 * MINUTE_MS + 1, 2, 5),
    ],
)
def test_a_longer_gap_than_30_minutes_starts_a_session(
    gap_ms: int, position: int, duration_ms: int
) -> None:
    head = head_after(MONDAY, MONDAY + gap_ms, MONDAY + gap_ms + 5)
    assert (head["session_position"], head["session_duration"]) == (position, duration_ms)


def test_hour_and_weekday_are_of_the_newest_event() -> None:
    head = head_after(MONDAY + 6 * HOUR_MS)
    assert math.isclose(head["hour_sin"], 1)
    assert math.isclose(head["weekday_sin"], math.sin(2 * math.pi * 6 / (7 * 24)))
    assert head["steps_count"] == 1
