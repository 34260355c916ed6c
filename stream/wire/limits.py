"""Every limit of an input event, beside each other: a value at it is taken, beyond it refused.

Rules of the room: sizes are of the UTF-8 bytes. What is beyond a limit is a dead letter, reason
`bad_value` (`too_large` for the whole value, `undecodable` for its nesting).
"""

from dataclasses import dataclass
from typing import Final

from stream.core.layout import PURCHASE_STEPS_MAX

KEY_BYTES_MAX: Final = 512  # of a user's key, `anon:` included
ID_BYTES_MAX: Final = 512  # of an event, item or order id
TEXT_BYTES_MAX: Final = 512  # of category, channel, device, region
QUERY_BYTES_MAX: Final = 4096
NESTING_MAX: Final = 64  # arrays and objects within each other; the event itself is the first
QUANTITY_MAX: Final = 65_535
PRICE_CENTS_MAX: Final = 2**31 - 1
TIME_MS_MIN: Final = 946_684_800_000  # 2000-01-01T00:00:00Z
TIME_MS_MAX: Final = 4_102_444_800_000 - 1  # 2099-12-31T23:59:59.999Z
EXACT_MS_MAX: Final = 2**53  # larger sent_at and received_at are read without numpy

ANONYMOUS_PREFIX: Final = "anon:"

if not 1 <= PURCHASE_STEPS_MAX <= 64:
    raise ValueError(f"PURCHASE_STEPS_MAX={PURCHASE_STEPS_MAX}: the contract says at most 64")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a deployment sets of the decoder."""

    partitions_count: int  # of the input topics
    event_bytes_max: int = 1 << 20
    skew_ms_max: int = 86_400_000

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.partitions_count < 1 or self.event_bytes_max < 1 or self.skew_ms_max < 0:
            raise ValueError(f"decoder limits: {self}")


def fits(text: str, bytes_max: int) -> bool:
    """Say whether a text's UTF-8 is within a limit; encodes only when near it."""
    return len(text) * 4 <= bytes_max or len(text.encode()) <= bytes_max
