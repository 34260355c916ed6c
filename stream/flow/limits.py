"""Every limit of the flow, beside each other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """Limits of the flow. Bytes are per topic partition; times as their names say."""

    batch_events_max: int
    at_once_rows_max: int  # so few are decoded and scored on the worker's own thread
    topic_bytes_max: int
    merge_wait_ms: int
    merge_hold_ms: int
    future_ms_max: int
    commit_interval_s: float
    commit_events_max: int
    commit_bytes_max: int
    batch_deadline_s: float
    dead_letters_per_minute_max: int
    catch_up_ms: int  # a batch whose newest record is older tells each user's last row; 0: never
    hidden_users_max: int
    model_warm_ms: float  # a candidate's rebuilding between two batches
    model_warm_share: float  # of a batch's users: from here a candidate is promoted
    model_warm_s_max: float  # after which it is promoted as it is
    model_shadow_share: float  # of batches that a shadow scores too
