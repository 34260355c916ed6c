"""Settle rows that were scored, and sweep users that are due: the only places where alerts move."""

from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.churn import ChurnRules, close_alert, judge, meet_activity, schedule, stay_logs
from stream.core.compiled import compiled
from stream.core.layout import Records, Resolve
from stream.core.state import State, free_slot

_EXPIRED: Final = int(Resolve.EXPIRED)


@compiled
def settle_rows(
    rules: ChurnRules,
    state: State,
    scored: Records,  # (B,) SCORED
    next_event: npt.NDArray[np.float32],  # (B, 3)
    purchase: npt.NDArray[np.float32],  # (B,)
    hazard: npt.NDArray[np.float32],  # (B, 8)
    churn: npt.NDArray[np.float32],  # (B,) written
    alerts: Records,  # (2 B,) ALERT, written; `key` is the slot
    logs: npt.NDArray[np.float64],  # (8,) scratch
) -> int:
    """Keep each row's scores with its user and move its alert; returns how many alerts."""
    count = 0
    for index in range(len(scored)):
        row = scored[index]
        user = state.users[row.slot]
        first = count
        if row.newest != 0 and meet_activity(
            user,
            alerts[count],
            row.event_type,
            row.time_ms,
            row.seq,
            row.watermark_ms,
            row.silence_before_ms,
            row.slot,
        ):
            count += 1
        for kind in range(next_event.shape[1]):
            user.next_event[kind] = next_event[index, kind]
        user.purchase = purchase[index]
        for bin_ in range(hazard.shape[1]):
            user.hazard[bin_] = hazard[index, bin_]
        stay_logs(user.hazard, logs)
        if judge(
            rules,
            user,
            logs,
            alerts[count],
            row.steps_count,
            row.silence_ms,
            row.as_of_ms,
            row.shop_ms,
            row.watermark_ms,
            row.seq,
            row.slot,
            False,
        ):
            count += 1
        churn[index] = user.churn
        if count > first:
            alerts[first].churn = user.churn  # what ended a silence is told with the new score
        if user.seq_last == row.seq:
            schedule(rules, user, logs, row.shop_ms)
    return count


@compiled
def sweep_users(
    rules: ChurnRules,
    state: State,
    slots: npt.NDArray[np.int32],  # (D,) due users, in order
    end_ms: int,
    alerts: Records,  # (D,) ALERT, written; `key` is the index into slots
    dropped: npt.NDArray[np.uint8],  # (D,) written: 1 where the user's time to live is over
    logs: npt.NDArray[np.float64],  # (8,) scratch
) -> int:
    """Judge users at the end of a bucket of shop time; returns how many alerts."""
    clock = state.clock[0]
    count = 0
    for index in range(len(slots)):
        slot = slots[index]
        user = state.users[slot]
        silence_ms = end_ms - user.shop_last_ms
        alert = alerts[count]
        if silence_ms >= rules.ttl_ms:
            if close_alert(
                user, alert, _EXPIRED, clock.seq, clock.watermark_ms, silence_ms, index, True
            ):
                count += 1
            free_slot(state, slot)
            dropped[index] = 1
            continue
        dropped[index] = 0
        stay_logs(user.hazard, logs)
        if judge(
            rules,
            user,
            logs,
            alert,
            user.steps_count,
            silence_ms,
            user.time_last_ms,
            end_ms,
            clock.watermark_ms,
            clock.seq,
            index,
            True,
        ):
            count += 1
        schedule(rules, user, logs, end_ms)
        state.dirty[slot] = 1
    return count
