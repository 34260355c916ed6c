"""Steps 1 to 13 of docs/engine.md for single rows, boundaries in threes."""

import pytest

from stream.core.config import DAY_MS, HOUR_MS, EngineConfig
from stream.core.layout import Outcome, Reason
from tests.oracle.engine import scored_steps
from tests.oracle.records import Step
from tests.oracle.script import Script, play

CONFIG = EngineConfig(window_steps=4, refresh_steps=2, users_max=3)
T = 20_000 * DAY_MS


def test_each_row_takes_the_next_sequence_number_whatever_its_outcome() -> None:
    s = Script()
    s.click("a", T)
    s.bad(Reason.UNDECODABLE)
    s.click("a", T, event_id=1)
    s.forget("a", T)
    s.click("a", T - 1)
    s.click("a", T + 1)
    played = play(CONFIG, s.events)
    assert [(row.partition_seq, row.outcome) for row in played.rows] == [
        (1, Outcome.PREDICTED),
        (2, Outcome.DEAD_LETTERED),
        (3, Outcome.DUPLICATE),
        (4, Outcome.CONTROL),
        (5, Outcome.FORGOTTEN),
        (6, Outcome.PREDICTED),
    ]
    assert played.rows[5].user_epoch == 6
    assert played.oracle.offset_next == {0: 6}


@pytest.mark.parametrize(
    ("ahead_ms", "reason"),
    [(299_999, Reason.NONE), (300_000, Reason.NONE), (300_001, Reason.FROM_FUTURE)],
)
def test_event_time_may_be_so_far_ahead_of_the_record(ahead_ms: int, reason: Reason) -> None:
    s = Script()
    s.click("a", T, timestamp_ms=T - ahead_ms)
    assert play(CONFIG, s.events).rows[0].reason == reason


@pytest.mark.parametrize(
    ("time_ms", "outcome"),
    [(T + 9, Outcome.FORGOTTEN), (T + 10, Outcome.FORGOTTEN), (T + 11, Outcome.PREDICTED)],
)
def test_events_up_to_the_time_of_forgetting_are_forgotten(time_ms: int, outcome: Outcome) -> None:
    s = Script()
    s.click("a", T)
    s.forget("a", T + 10)
    s.click("a", time_ms)
    assert play(CONFIG, s.events).rows[2].outcome == outcome


@pytest.mark.parametrize(
    ("watermark_ms", "outcome"),
    [
        (T + 2 * HOUR_MS - 1, Outcome.FORGOTTEN),
        (T + 2 * HOUR_MS, Outcome.PREDICTED),
        (T + 2 * HOUR_MS + 1, Outcome.PREDICTED),
    ],
)
def test_the_hash_of_a_forgotten_user_goes_after_its_time(
    watermark_ms: int, outcome: Outcome
) -> None:
    s = Script()
    s.forget("a", T)
    s.click("b", watermark_ms)
    s.click("a", T)
    config = EngineConfig(window_steps=4, refresh_steps=2, forget_keep_ms=2 * HOUR_MS)
    assert play(config, s.events).rows[2].outcome == outcome


def test_beyond_the_hashes_kept_the_oldest_goes() -> None:
    s = Script()
    for index, user in enumerate("abc"):
        s.forget(user, T + index)
    for user in "abc":
        s.click(user, T)
    config = EngineConfig(window_steps=4, refresh_steps=2, forgotten_max=2)
    outcomes = [row.outcome for row in play(config, s.events).rows[3:]]
    assert outcomes == [Outcome.PREDICTED, Outcome.FORGOTTEN, Outcome.FORGOTTEN]


def test_a_repeat_is_a_duplicate_until_its_step_has_left_the_ring() -> None:
    s = Script()
    for index in range(5):
        s.click("a", T + index, event_id=10 + index)
    s.click("a", T + 1, event_id=11)  # the oldest of the ring of 4
    s.click("a", T + 9, event_id=10)  # gone from the ring, told at another time
    rows = play(CONFIG, s.events).rows
    assert (rows[5].outcome, rows[5].source_first) == (Outcome.DUPLICATE, 1 * 4)
    assert rows[6].outcome == Outcome.PREDICTED


@pytest.mark.parametrize(
    ("held", "shift_ms", "reason"),
    [
        (3, -1, Reason.NONE),
        (4, -1, Reason.TOO_LATE),
        (4, 0, Reason.NONE),
        (4, 1, Reason.NONE),
        (5, 0, Reason.TOO_LATE),
        (5, 10, Reason.NONE),
    ],
)
def test_too_late_is_before_the_oldest_of_a_full_ring(
    held: int, shift_ms: int, reason: Reason
) -> None:
    s = Script()
    for index in range(held):
        s.click("a", T + 10 * index)
    s.click("a", T + shift_ms)
    assert play(CONFIG, s.events).rows[-1].reason == reason


def test_a_late_event_stands_after_its_equals_and_pushes_out_the_oldest() -> None:
    s = Script()
    for time_ms in (T, T + 10, T + 10, T + 20):
        s.click("a", time_ms)
    s.click("a", T + 10)
    row = play(CONFIG, s.events).rows[-1]
    assert [step.event_id for step in row.window] == [2, 3, 5, 4]
    assert (row.late, row.revision, row.supersedes) == (True, 1, 3 * 4)
    assert (row.as_of_ms, row.event_time_ms, row.user_seq) == (T + 20, T + 10, 5)


def test_an_equal_time_is_not_late() -> None:
    s = Script()
    for time_ms in (T, T + 1, T + 1, T):
        s.click("a", time_ms)
    rows = play(CONFIG, s.events).rows
    assert [row.late for row in rows] == [False, False, False, True]
    assert [row.supersedes for row in rows] == [-1, -1, -1, 2 * 4]


def test_a_purchase_keeps_its_last_lines_and_counts_them_all() -> None:
    s = Script()
    s.click("a", T)
    s.purchase("a", T, steps=64)
    played = play(CONFIG, s.events)
    assert [step.quantity for step in played.rows[1].window] == [61, 62, 63, 64]
    assert played.oracle.users[b"a"].steps_count == 65
    assert played.rows[1].head["count_purchase_1h_sliding"] == 1


def test_a_given_context_replaces_the_kept_one_late_or_not() -> None:
    s = Script()
    s.click("a", T, channel=5, device=6)
    s.click("a", T + 9, region=7)
    s.click("a", T + 5, channel=8)
    assert [row.context for row in play(CONFIG, s.events).rows] == [
        (5, 6, 0),
        (5, 6, 7),
        (8, 6, 7),
    ]


def test_at_the_cap_the_least_recently_predicted_user_goes() -> None:
    s = Script()
    for user in ("a", "b", "c", "a"):
        s.click(user, T)
    s.click("b", T, event_id=2)  # a duplicate is no activity
    s.click("d", T)
    played = play(CONFIG, s.events)
    assert [(drop.user, drop.why) for drop in played.dropped] == [(b"b", "evicted")]
    assert sorted(played.oracle.users) == [b"a", b"c", b"d"]
    assert played.oracle.changes().keys() == {b"a", b"b", b"c", b"d"}
    assert played.oracle.changes() == {}


@pytest.mark.parametrize(
    ("n", "m"),
    # L = 2: up to 2 L all, then L + 1 + (n - 1) mod L.
    [(1, 1), (2, 2), (3, 3), (4, 4), (5, 3), (6, 4), (7, 3), (8, 4), (9, 3), (10, 4)],
)
def test_the_scored_steps_are_the_last_m(n: int, m: int) -> None:
    ring = [Step(event_id=k, item=k, time_ms=T + k * k, source=k) for k in range(n)]
    scored = scored_steps(ring[-8:], n, 2)
    assert [step.event_id for step, _ in scored] == list(range(n - m, n))
    assert scored[0][1] == -1
    assert [gap for _, gap in scored[1:]] == [2 * k - 1 for k in range(n - m + 1, n)]


def test_no_more_steps_are_scored_than_the_ring_holds() -> None:
    ring = [Step(event_id=k, item=k, time_ms=T, source=k) for k in range(2)]
    assert len(scored_steps(ring, 64, 16)) == 2
