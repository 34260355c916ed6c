"""What can be asked: what is counted, of what, in which periods. Plain data, quick to import."""

from dataclasses import dataclass
from typing import Final

from stream.core.config import DAY_MS

HOUR_MS: Final = 3_600_000

# Measure -> (actions that count, what is summed)
MEASURES: Final = {
    "views": (("view", "click"), "steps"),
    "carts": (("cart",), "steps"),
    "purchases": (("purchase",), "steps"),
    "units": (("purchase",), "quantity"),
    "revenue": (("purchase",), "money"),
}
BY: Final = ("item", "category", "total")


@dataclass(frozen=True, slots=True)
class Calendar:
    """Periods of one length, numbered from 1970 on, and how many make a season; 1: none."""

    name: str
    period_ms: int
    offset_ms: int  # start of period 0
    season: int
    look_back: int  # what is usual
    horizon: int

    def start_ms(self, period: int) -> int:
        """Start of a period."""
        return self.offset_ms + period * self.period_ms

    def duration(self, periods: int) -> str:
        """Give a length in ISO 8601, e.g. P7D."""
        length_ms = periods * self.period_ms
        days, rest_ms = divmod(length_ms, DAY_MS)
        return f"PT{length_ms // HOUR_MS}H" if rest_ms else f"P{days}D"


CALENDARS: Final = {
    "hour": Calendar("hour", HOUR_MS, 0, 24, 48, 24),
    "day": Calendar("day", DAY_MS, 0, 7, 28, 7),
    "week": Calendar("week", 7 * DAY_MS, 4 * DAY_MS, 1, 12, 4),  # 5 January 1970 was a Monday
}
