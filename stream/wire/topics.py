"""The topics of the contract: name, key, clean-up, settings, who writes them. The one place.

Rules of the room: pure data; what a broker has is the business of stream/shell/admin.py. All topics
have the same number of partitions, since a user's events, state and outputs share a number.
"""

from dataclasses import dataclass
from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic, without the prefix of its name."""

    name: str
    key: str  # what the record's key is
    writer: str  # who writes it
    cleanup: str  # cleanup.policy
    settings: tuple[tuple[str, str], ...] = ()  # further topic settings

    def configs(self, replication: int) -> dict[str, str]:
        """All settings that the contract fixes, as the broker names them."""
        insync_min = max(1, replication - 1)
        return {
            "cleanup.policy": self.cleanup,
            "min.insync.replicas": str(insync_min),
            **dict(self.settings),
        }


def _kept(days: int) -> tuple[str, str]:
    return ("retention.ms", str(days * DAY_MS))


_LARGE: Final = ("max.message.bytes", str(4 * MIB))

TABLE: Final = (
    Topic("clicks", "user", "shop", "delete", (_kept(7), _LARGE)),
    Topic("searches", "user", "shop", "delete", (_kept(7), _LARGE)),
    Topic("purchases", "user", "shop", "delete", (_kept(7), _LARGE)),
    Topic("predictions", "user", "worker", "delete", (_kept(7),)),
    Topic("churn-alerts", "user", "worker", "compact,delete", (_kept(7),)),
    Topic("dead-letters", "original key", "worker", "delete", (_kept(30), _LARGE)),
    Topic("intake-receipts", "topic-partition", "worker", "delete", (_kept(30),)),
    Topic(
        "user-state",
        "user, or the partition's header",
        "worker",
        "compact",
        (
            ("segment.bytes", str(64 * MIB)),
            ("segment.ms", str(HOUR_MS)),
            ("max.compaction.lag.ms", str(HOUR_MS)),
            ("min.cleanable.dirty.ratio", "0.2"),
            ("delete.retention.ms", str(DAY_MS)),
        ),
    ),
    Topic("erasure-receipts", "keyed hash of the user", "worker", "compact"),
    Topic("model-control", "model name", "operator", "compact"),
)

INPUTS: Final = ("clicks", "searches", "purchases")
PREDICTIONS: Final = "predictions"
ALERTS: Final = "churn-alerts"
DEAD_LETTERS: Final = "dead-letters"
RECEIPTS: Final = "intake-receipts"
STATE: Final = "user-state"
ERASURES: Final = "erasure-receipts"
CONTROL: Final = "model-control"
