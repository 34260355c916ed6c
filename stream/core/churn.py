"""Churn: probability from the hazard and the silence, and the life of an alert (docs/engine.md).

Silence s is shop time in ms. log S is linear within a hazard bin and goes on at the last bin's rate
beyond it; p(s) = S(s + H) / S(s) (discrete-time survival, e.g. Singer & Willett 1993).
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.core.compiled import compiled
from stream.core.layout import (
    ALWAYS_LATER_MS,
    HAZARD_BINS,
    AlertState,
    Level,
    Record,
    Records,
    Resolve,
)

_NORMAL: Final = int(AlertState.NORMAL)
_FIRING: Final = int(AlertState.FIRING)
_RESOLVED: Final = int(AlertState.RESOLVED)
_CHURNED: Final = int(AlertState.CHURNED)
_AT_RISK: Final = int(Level.AT_RISK)
_HIGH_RISK: Final = int(Level.HIGH_RISK)
_RETURNED: Final = int(Resolve.RETURNED)
_PURCHASED: Final = int(Resolve.PURCHASED)
_LATE_ACTIVITY: Final = int(Resolve.LATE_ACTIVITY)
_PURCHASE: Final = 2
_HAZARD_MIN: Final = 1e-6  # a bin that is never left would make p exactly 1 for ever
_HAZARD_MAX: Final = 1.0 - 1e-6


class ChurnRules(NamedTuple):
    """The thresholds, as numbers that compiled code takes."""

    enter: float
    leave: float
    high: float
    horizon_ms: int
    events_min: int
    ttl_ms: int
    edges_ms: npt.NDArray[np.int64]  # (8,) upper edges of the hazard bins


@compiled
def stay_logs(hazard: npt.NDArray[np.float32], logs: npt.NDArray[np.float64]) -> None:
    """Write (8,) the log of the chance to outlast each bin, which what follows is told."""
    for index in range(HAZARD_BINS):
        chance = min(max(float(hazard[index]), _HAZARD_MIN), _HAZARD_MAX)
        logs[index] = math.log1p(-chance)


@compiled
def log_survival(logs: npt.NDArray[np.float64], edges_ms: Records, silence_ms: float) -> float:
    """Return log S(silence)."""
    total = 0.0
    low = 0.0
    for index in range(HAZARD_BINS):
        high = float(edges_ms[index])
        whole = float(logs[index])
        last = index == HAZARD_BINS - 1
        if silence_ms <= high or last:
            return total + whole * (silence_ms - low) / (high - low)
        total += whole
        low = high
    return total


@compiled
def churn_log(rules: ChurnRules, logs: npt.NDArray[np.float64], silence_ms: float) -> float:
    """Return log p(silence)."""
    later = log_survival(logs, rules.edges_ms, silence_ms + rules.horizon_ms)
    return later - log_survival(logs, rules.edges_ms, silence_ms)


@compiled
def crossing_ms(
    rules: ChurnRules, logs: npt.NDArray[np.float64], silence_ms: int, target: float, rising: bool
) -> int:
    """Return the least silence from `silence_ms` on at which p rises (falls) to target, or never.

    log p is linear between the bins' edges and the edges less H, so one pass over these is exact.
    """
    goal = math.log(target)
    at = float(silence_ms)
    value = churn_log(rules, logs, at)
    if (value >= goal) if rising else (value <= goal):
        return silence_ms
    while True:
        after = -1.0  # the next edge
        for index in range(HAZARD_BINS):
            for edge in (
                float(rules.edges_ms[index]),
                float(rules.edges_ms[index]) - rules.horizon_ms,
            ):
                if edge > at and (after < 0 or edge < after):
                    after = edge
        if after < 0:
            return ALWAYS_LATER_MS
        value_after = churn_log(rules, logs, after)
        if (value_after >= goal) if rising else (value_after <= goal):
            part = (goal - value) / (value_after - value)
            return math.ceil(at + (after - at) * part)
        at = after
        value = value_after


@compiled
def schedule(rules: ChurnRules, user: Record, logs: npt.NDArray[np.float64], shop_ms: int) -> None:
    """Set `next_check_ms` from the user's state, as of shop_ms; `logs` are of its hazard."""
    check_ms = user.shop_last_ms + rules.ttl_ms
    if user.alert_state == _FIRING:
        check_ms = min(check_ms, user.fired_shop_ms + rules.horizon_ms)
    elif user.alert_state != _CHURNED and user.steps_count >= rules.events_min:
        rising = user.alert_state == _NORMAL
        target = rules.enter if rising else rules.leave
        silence_ms = shop_ms - user.shop_last_ms
        cross_ms = crossing_ms(rules, logs, silence_ms, target, rising)
        if cross_ms < ALWAYS_LATER_MS:
            check_ms = min(check_ms, user.shop_last_ms + cross_ms)
    user.next_check_ms = check_ms


@compiled
def publish(
    alert: Record,
    user: Record,
    previous: int,
    seq: int,
    at_ms: int,
    silence_ms: int,
    key: int,
    sweep: bool,
) -> None:
    """Write one transition; the user's fields are those after it."""
    user.alert_sequence += np.uint32(1)
    alert.partition_seq = seq
    alert.user_epoch = user.epoch
    alert.at_ms = at_ms
    alert.silence_start_ms = user.silence_start_ms
    alert.fired_ms = user.fired_ms
    alert.silence_ms = silence_ms
    alert.churn = user.churn
    alert.sequence = user.alert_sequence
    alert.key = key
    alert.state = user.alert_state
    alert.previous_state = previous
    alert.level = user.alert_level
    alert.reason = user.alert_reason
    alert.by_sweep = 1 if sweep else 0


@compiled
def close_alert(
    user: Record,
    alert: Record,
    reason: int,
    seq: int,
    at_ms: int,
    silence_ms: int,
    key: int,
    sweep: bool,
) -> bool:
    """End an open alert for a reason; False when none is open."""
    if user.alert_state != _FIRING:
        return False
    user.alert_state = _RESOLVED
    user.alert_reason = reason
    publish(alert, user, _FIRING, seq, at_ms, silence_ms, key, sweep)
    return True


@compiled
def meet_activity(
    user: Record,
    alert: Record,
    event_type: int,
    time_ms: int,
    seq: int,
    at_ms: int,
    silence_ms: int,
    key: int,
) -> bool:
    """Let an event that ends a silence end the alert too; True: a transition was written."""
    if user.alert_state == _CHURNED:
        user.alert_state = _NORMAL
        user.alert_level = 0
        return False
    if time_ms <= user.fired_ms:
        reason = _LATE_ACTIVITY
    elif event_type == _PURCHASE:
        reason = _PURCHASED
    else:
        reason = _RETURNED
    return close_alert(user, alert, reason, seq, at_ms, silence_ms, key, False)


@compiled
def judge(
    rules: ChurnRules,
    user: Record,
    logs: npt.NDArray[np.float64],  # of its hazard
    alert: Record,
    steps_count: int,  # the five numbers are as of the row or the sweep: the user may be further on
    silence_ms: int,
    as_of_ms: int,
    shop_ms: int,
    at_ms: int,
    seq: int,
    key: int,
    sweep: bool,
) -> bool:
    """Compute p, keep it, and let it move the state; True: a transition was written."""
    if steps_count < rules.events_min:
        user.churn = -1
        return False
    chance = math.exp(churn_log(rules, logs, float(silence_ms)))
    user.churn = chance
    if user.alert_state == _RESOLVED and chance <= rules.leave:
        user.alert_state = _NORMAL
        user.alert_level = 0
    if user.alert_state == _NORMAL and chance >= rules.enter:
        user.alert_state = _FIRING
        user.alert_level = _HIGH_RISK if chance >= rules.high else _AT_RISK
        user.alert_reason = 0
        user.silence_start_ms = as_of_ms
        user.fired_ms = at_ms
        user.fired_shop_ms = shop_ms
        publish(alert, user, _NORMAL, seq, at_ms, silence_ms, key, sweep)
        return True
    if sweep and user.alert_state == _FIRING and shop_ms >= user.fired_shop_ms + rules.horizon_ms:
        user.alert_state = _CHURNED
        publish(alert, user, _FIRING, seq, at_ms, silence_ms, key, sweep)
        return True
    return False
