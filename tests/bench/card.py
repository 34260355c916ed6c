"""The bench card: what every contender is given. A headline names card, mode and profile.

Rules of the room: the numbers of the card are fixed; another number is another card.
"""

from dataclasses import dataclass
from typing import Final

from stream.core.config import HOUR_MS

EVENT_BYTES: Final = 200


@dataclass(frozen=True, slots=True)
class Card:
    """The load, and the sizes of what is written about it."""

    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)  # of clicks, searches, purchases
    event_bytes: int = EVENT_BYTES
    partitions: int = 4
    users: int = 50_000
    users_exponent: float = 0.8  # Zipf: the first user makes 2 % of all events
    items: int = 43_000
    items_exponent: float = 1.0  # Zipf
    duplicates_share: float = 0.01  # the same bytes again, within the topic's last 200 events
    late_share: float = 0.01  # event time up to 5 min too early
    late_ms_max: int = HOUR_MS // 12
    span_ms: int = HOUR_MS  # event time covered by a whole load
    seed: int = 1
    refresh_steps: int = 16  # L
    window_steps: int = 32  # W
    hidden: int = 50  # units of an LSTM layer
    layers: int = 2
    # What the floor writes per event, two records: as many bytes as Forecart wrote per event.
    prediction_bytes: int = 680
    prediction_full_bytes: int = 1_360  # with ten items
    state_bytes: int = 400
