"""Watermark, shop time, witnesses and sweeps, boundaries in threes."""

from dataclasses import replace

import pytest

from stream.core.config import DAY_MS, HOUR_MS, EngineConfig
from stream.core.layout import Reason
from tests.oracle.script import Script, play

# Buckets of 600 s, cap 1 h, jump 2 d.
CONFIG = EngineConfig(window_steps=4, refresh_steps=2, bucket_ms=600_000)
T = 20_000 * DAY_MS
JUMP_MS = CONFIG.watermark_jump_ms_max


def test_the_first_event_sets_the_watermark_and_no_shop_time_passes() -> None:
    s = Script()
    s.click("a", T)
    played = play(CONFIG, s.events)
    assert (played.oracle.clock.watermark_ms, played.oracle.clock.shop_ms) == (T, 0)
    assert played.sweeps == []


def test_only_good_events_move_the_watermark() -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T + 90, event_id=1)  # a duplicate told at another time
    s.bad(Reason.BAD_VALUE)
    s.click("a", T + 80, timestamp_ms=T - DAY_MS)
    s.forget("b", T + 70)
    s.click("b", T + 60)
    assert play(CONFIG, s.events).oracle.clock.watermark_ms == T + 70


@pytest.mark.parametrize(
    ("advance_ms", "shop_ms"),
    [(HOUR_MS - 1, HOUR_MS - 1), (HOUR_MS, HOUR_MS), (HOUR_MS + 1, HOUR_MS), (DAY_MS, HOUR_MS)],
)
def test_one_advance_adds_at_most_the_cap(advance_ms: int, shop_ms: int) -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T + advance_ms)
    clock = play(CONFIG, s.events).oracle.clock
    assert (clock.watermark_ms, clock.shop_ms) == (T + advance_ms, shop_ms)


@pytest.mark.parametrize(
    ("advance_ms", "ends"),
    [
        (599_999, []),
        (600_000, [600_000]),
        (600_001, [600_000]),
        (1_200_000, [600_000, 1_200_000]),
        (DAY_MS, [k * 600_000 for k in range(1, 7)]),
    ],
)
def test_a_bucket_is_swept_before_the_row_that_reaches_its_end(
    advance_ms: int, ends: list[int]
) -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T + advance_ms)
    s.click("a", T + advance_ms)  # moves nothing
    assert [sweep.end_ms for sweep in play(CONFIG, s.events).sweeps] == ends


@pytest.mark.parametrize(
    ("jump_ms", "watermark_ms"),
    [(JUMP_MS - 1, T + JUMP_MS - 1), (JUMP_MS, T + JUMP_MS), (JUMP_MS + 1, T)],
)
def test_a_jump_beyond_the_limit_does_not_count(jump_ms: int, watermark_ms: int) -> None:
    s = Script()
    s.click("a", T)
    s.click("b", T + jump_ms)
    played = play(CONFIG, s.events)
    assert played.oracle.clock.watermark_ms == watermark_ms
    assert played.oracle.users[b"b"].time_last_ms == T + jump_ms


def test_three_users_confirm_a_jump_to_the_lowest_first_time() -> None:
    s = Script()
    s.click("a", T)
    s.click("b", T + JUMP_MS + 50)
    s.click("b", T + JUMP_MS + 10)  # its first time stays
    s.click("c", T + JUMP_MS + 40)
    s.click("c", T + JUMP_MS + 90)
    assert play(CONFIG, s.events).oracle.clock.watermark_ms == T
    s.click("a", T + JUMP_MS + 60)
    clock = play(CONFIG, s.events).oracle.clock
    assert (clock.watermark_ms, clock.shop_ms) == (T + JUMP_MS + 40, HOUR_MS)
    assert clock.witnesses == {}


@pytest.mark.parametrize(("time_ms", "witnesses"), [(T - 1, {2}), (T, {2}), (T + 1, set[int]())])
def test_an_event_that_moves_the_watermark_forgets_the_witnesses(
    time_ms: int, witnesses: set[int]
) -> None:
    s = Script()
    s.click("a", T)
    s.click("b", T + JUMP_MS + 1)
    s.click("a", time_ms)
    assert play(CONFIG, s.events).oracle.clock.witnesses.keys() == witnesses


def test_silence_counts_from_the_event_not_from_its_arrival() -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T + 1_000)  # shop 1,000
    s.click("b", T + 400)  # new, 600 behind
    s.click("c", T - 5_000)  # new, before shop time began
    users = play(CONFIG, s.events).oracle.users
    assert users[b"a"].shop_last_ms == 1_000
    assert users[b"b"].shop_last_ms == 400
    assert users[b"c"].shop_last_ms == -5_000


def test_the_start_of_silence_never_goes_back() -> None:
    s = Script()
    s.click("a", T)
    s.click("b", T + 10)
    s.click("c", T + 5 * HOUR_MS)  # shop 10 + 1 h
    s.click("b", T + HOUR_MS)  # 4 h behind in event time: before b's last in shop time
    users = play(CONFIG, s.events).oracle.users
    assert users[b"b"].shop_last_ms == 10
    assert users[b"b"].time_last_ms == T + HOUR_MS


@pytest.mark.parametrize(("ttl_ms", "kept"), [(599_999, False), (600_000, False), (600_001, True)])
def test_a_user_is_dropped_by_the_sweep_that_finds_it_silent_so_long(
    ttl_ms: int, kept: bool
) -> None:
    s = Script()
    s.click("a", T)
    s.click("b", T + 600_000)
    config = replace(CONFIG, user_ttl_ms=ttl_ms)
    played = play(config, s.events)
    assert (b"a" in played.oracle.users) is kept
    assert [drop.why for drop in played.dropped] == ([] if kept else ["expired"])


def test_a_user_that_its_own_event_sweeps_away_starts_anew() -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T + 600_000)
    config = replace(CONFIG, user_ttl_ms=600_000)
    row = play(config, s.events).rows[1]
    assert (row.user_epoch, row.user_seq, row.late, len(row.window)) == (2, 1, False, 1)
