"""Survival of silence, and the life of an alert with hazards written by hand."""

import math

import pytest

from stream.core.config import EngineConfig
from stream.core.layout import AlertState, Level, Resolve
from tests.oracle.churn import Survival
from tests.oracle.records import Answer
from tests.oracle.script import Played, Script, play

EDGES_MS = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000)
CONFIG = EngineConfig(
    window_steps=8,
    refresh_steps=2,
    bucket_ms=500,
    source_gap_ms_max=10_000,
    user_ttl_ms=60_000,
    churn_horizon_ms=2_000,
    churn_events_min=2,
    hazard_edges_ms=EDGES_MS,
)
# Multiples of 1/1024: the engine keeps float32.
FADING = (0.5, 0.5, *(10 / 1024,) * 6)
GONE = (51 / 1024,) * 8
LOYAL = (0.5,) * 8
T = 1_700_000_000_000


def played_with(hazard: tuple[float, ...], script: Script, config: EngineConfig = CONFIG) -> Played:
    answer = Answer((0.5, 0.25, 0.25), 0.5, hazard, (), ())
    return play(config, script.events, answer)


def test_survival_is_log_linear_in_a_bin_and_goes_on_at_the_last_rate() -> None:
    survival = Survival((0.5, 0.75, *(0.5,) * 6), EDGES_MS, 2_000)
    for silence_ms, halvings in (
        (0, 0),
        (500, 0.5),
        (1_000, 1),
        (1_500, 2),
        (2_000, 3),
        (128_000, 9),
        (192_000, 10),
    ):
        assert math.isclose(survival.loss(silence_ms), halvings * math.log(2), abs_tol=1e-12)
    assert math.isclose(survival.churn(0), 0.5**3)


def test_the_first_crossing_is_found_to_the_ms() -> None:
    survival = Survival(FADING, EDGES_MS, 2_000)
    at = survival.first(0, lambda p: p >= 0.7)
    assert at is not None
    assert survival.churn(at - 1) < 0.7 <= survival.churn(at)
    assert survival.first(at + 5, lambda p: p >= 0.7) == at + 5
    assert survival.first(0, lambda p: p >= 0.9999) is None


def test_a_crossing_that_is_left_again_is_the_first_one() -> None:
    survival = Survival((0.9, 0.001, 0.9, 0.9, 0.9, 0.9, 0.01, 0.01), EDGES_MS, 500)
    at = survival.first(0, lambda p: p >= 0.7)
    assert at is not None
    assert 0 < at < 1_500
    assert survival.churn(2_000) < 0.7


def test_an_event_fires_once_there_are_enough_steps() -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T + 1)
    played = played_with(GONE, s)
    assert [row.churn is None for row in played.rows] == [True, False]
    (alert,) = played.alerts
    assert (alert.state, alert.level, alert.sequence) == (AlertState.FIRING, Level.HIGH_RISK, 1)
    assert (alert.silence_start_ms, alert.fired_ms, alert.silence_ms) == (T + 1, T + 1, 0)


def test_the_clock_fires_at_the_end_of_the_bucket_in_which_p_reaches_enter() -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T)
    crossing_ms = Survival(FADING, EDGES_MS, 2_000).first(0, lambda p: p >= 0.7)
    assert crossing_ms is not None
    end_ms = -(-crossing_ms // 500) * 500
    s.click("b", T + end_ms - 1)
    assert played_with(FADING, s).alerts == []
    s.click("b", T + end_ms)
    (alert,) = played_with(FADING, s).alerts
    assert (alert.state, alert.by_sweep, alert.partition_seq) == (AlertState.FIRING, True, 3)
    assert (alert.silence_ms, alert.at_ms) == (end_ms, T + end_ms - 1)
    assert alert.level == Level.AT_RISK


@pytest.mark.parametrize(
    ("shift_ms", "purchase", "reason"),
    [
        (-1, False, Resolve.LATE_ACTIVITY),
        (0, True, Resolve.LATE_ACTIVITY),
        (1, False, Resolve.RETURNED),
        (1, True, Resolve.PURCHASED),
    ],
)
def test_an_alert_resolves_by_what_comes_and_when(
    shift_ms: int, purchase: bool, reason: Resolve
) -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T)
    s.click("b", T + 1_400)
    s.click("b", T + 3_000)  # sweeps 1500, 2000, 2500, 3000 with the watermark at 1400
    (s.purchase if purchase else s.click)("a", T + 1_400 + shift_ms)
    fired, resolved = played_with(FADING, s).alerts
    assert fired.fired_ms == resolved.fired_ms == T + 1_400
    assert (resolved.state, resolved.reason) == (AlertState.RESOLVED, reason)
    assert (resolved.previous_state, resolved.by_sweep) == (AlertState.FIRING, False)
    assert (resolved.sequence, resolved.silence_ms) == (2, 3_000)


def test_a_late_event_of_its_own_past_leaves_the_alert_alone() -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T)
    s.click("b", T + 3_000)
    s.click("a", T)
    s.click("a", T - 1)
    played = played_with(FADING, s)
    assert [alert.state for alert in played.alerts] == [AlertState.FIRING]


@pytest.mark.parametrize(
    ("silent_ms", "state"),
    [
        (1_999, AlertState.FIRING),
        (2_000, AlertState.CHURNED),
        (2_001, AlertState.CHURNED),
    ],
)
def test_firing_for_the_horizon_is_churned(silent_ms: int, state: AlertState) -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T)
    s.click("b", T + silent_ms)
    played = played_with(GONE, s)
    assert played.oracle.users[b"a"].alert_state == state


def test_the_return_of_a_churned_user_is_not_published() -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T)
    s.click("b", T + 2_000)
    s.click("a", T + 2_001)
    alerts = [alert for alert in played_with(GONE, s).alerts if alert.user == b"a"]
    # The hazards are still low: a new episode fires at once.
    assert [(alert.previous_state, alert.state, alert.sequence) for alert in alerts] == [
        (AlertState.NORMAL, AlertState.FIRING, 1),
        (AlertState.FIRING, AlertState.CHURNED, 2),
        (AlertState.NORMAL, AlertState.FIRING, 3),
    ]


@pytest.mark.parametrize("how", ["forgotten", "evicted", "expired"])
def test_a_dropped_user_closes_its_open_alert(how: str) -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T)
    if how == "forgotten":
        s.forget("a", T + 1)
    elif how == "evicted":
        s.click("b", T)
    else:
        s.click("b", T + 500)
    config = EngineConfig(
        window_steps=8,
        refresh_steps=2,
        users_max=1 if how == "evicted" else 9,
        user_ttl_ms=500,
        bucket_ms=500,
        churn_events_min=2,
    )
    fired, closed = played_with(GONE, s, config).alerts
    assert (closed.previous_state, closed.state) == (AlertState.FIRING, AlertState.RESOLVED)
    assert closed.reason == (Resolve.FORGOTTEN if how == "forgotten" else Resolve.EXPIRED)
    assert closed.sequence == 2
    assert closed.by_sweep is (how == "expired")
    assert closed.churn == fired.churn


def test_a_resolved_user_is_normal_again_when_p_has_fallen() -> None:
    # p falls with silence: 0.8 at 0, below 0.5 from somewhere in the second bin.
    hazard = (10 / 1024, 10 / 1024, 204 / 1024, *(920 / 1024,) * 5)
    s = Script()
    s.click("a", T)
    s.click("a", T)
    s.click("a", T + 100)
    played = played_with(hazard, s)
    assert [alert.state for alert in played.alerts] == [AlertState.FIRING, AlertState.RESOLVED]
    assert played.oracle.users[b"a"].alert_state == AlertState.RESOLVED
    check_ms = played.oracle.users[b"a"].next_check_ms
    end_ms = -(-check_ms // 500) * 500
    for time_ms, state in (
        (T + end_ms - 1, AlertState.RESOLVED),
        (T + end_ms, AlertState.NORMAL),
    ):
        played.oracle.apply(s.click("b", time_ms))
        assert played.oracle.users[b"a"].alert_state == state
    assert len(played.alerts) == 2


def test_loyal_users_are_left_alone() -> None:
    s = Script()
    s.click("a", T)
    s.click("a", T)
    s.click("b", T + 1_500)
    assert [alert for alert in played_with(LOYAL, s).alerts if alert.user == b"a"] == []


def test_users_due_are_swept_by_time_and_then_by_age() -> None:
    s = Script()
    for user in ("a", "b", "c"):
        s.click(user, T)
        s.click(user, T)
    s.click("a", T)
    s.click("d", T + 4_000)
    due = [sweep.due for sweep in played_with(FADING, s).sweeps if sweep.due]
    # They fire in that order, and churn in it when H has passed.
    assert due == [(b"b", b"c", b"a")] * 2
