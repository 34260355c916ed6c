"""Every limit and threshold of the engine, beside each other, their relations checked.

Times are event time in ms unless the name says shop. "Shop time" is the sum of the watermark's
advances, each capped at `source_gap_ms_max`: it stands still while the whole source is silent.
"""

from dataclasses import dataclass, field

from stream.core.layout import HAZARD_BINS

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
HASH_KEY_OPEN = b"forecart"  # where a deployment has no key of its own: anybody can try ids


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Settings of one engine. Raises ValueError on construction where they contradict."""

    window_steps: int = 32  # W: steps kept per user; 4 to 255
    refresh_steps: int = 16  # L: of the bundle; 2 L <= W
    users_max: int = 500_000  # per partition; beyond it the least recently active is evicted
    hidden_users_max: int = 100_000  # per partition: users whose (h, c) is kept
    user_ttl_ms: int = 90 * DAY_MS  # shop time without activity until a user is dropped
    future_ms_max: int = 300_000  # event time beyond the record's own time: from_future
    watermark_jump_ms_max: int = 2 * DAY_MS  # a larger jump waits until 3 users confirm it
    source_gap_ms_max: int = HOUR_MS  # one advance of the watermark adds at most this to shop time
    bucket_ms: int = 3_600_000  # shop time between sweeps
    forget_keep_ms: int = 8 * DAY_MS  # event time for which a forgotten user's hash is kept
    forgotten_max: int = 100_000  # hashes kept; beyond it the oldest goes
    # Of the keyed hash by which a forgotten user is remembered: 1 to 64 bytes, a secret.
    hash_key: bytes = field(default=HASH_KEY_OPEN, repr=False)
    churn_enter: float = 0.70
    churn_leave: float = 0.50
    churn_high: float = 0.90  # level high_risk from here
    churn_horizon_ms: int = 7 * DAY_MS  # H
    churn_events_min: int = 5  # steps below which a user has insufficient_history
    exclude_recent: bool = True  # leave the user's own recent items out of the list
    hazard_edges_ms: tuple[int, ...] = (
        HOUR_MS,
        6 * HOUR_MS,
        DAY_MS,
        2 * DAY_MS,
        4 * DAY_MS,
        7 * DAY_MS,
        14 * DAY_MS,
        28 * DAY_MS,
    )  # upper edge of each hazard bin in ms of silence; of the bundle

    def __post_init__(self) -> None:
        """Check the relations between the limits."""
        rules = (
            (4 <= self.window_steps <= 255, "window_steps must be 4 to 255"),
            (self.refresh_steps >= 1, "refresh_steps must be at least 1"),
            (2 * self.refresh_steps <= self.window_steps, "2 * refresh_steps must fit the window"),
            (self.users_max >= 1, "users_max must be at least 1"),
            (self.hidden_users_max >= 1, "hidden_users_max must be at least 1"),
            (0 < self.churn_leave <= self.churn_enter < 1, "0 < churn_leave <= churn_enter < 1"),
            (self.churn_enter <= self.churn_high <= 1, "churn_enter <= churn_high <= 1"),
            (self.bucket_ms > 0, "bucket_ms must be positive"),
            (self.source_gap_ms_max > 0, "source_gap_ms_max must be positive"),
            (len(self.hazard_edges_ms) == HAZARD_BINS, f"there are {HAZARD_BINS} hazard bins"),
            (list(self.hazard_edges_ms) == sorted(set(self.hazard_edges_ms)), "edges must rise"),
        )
        for holds, rule in rules:
            if not holds:
                raise ValueError(f"engine settings: {rule}: {self}")
