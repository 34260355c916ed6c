"""Times of events: ISO 8601 or epoch ms, and the usual ISO texts for kernels.

Rules of the room: ISO 8601 is YYYY-MM-DD, "T" or a space, hh:mm[:ss[.fraction]], then Z, an offset
or nothing (UTC). What is below a millisecond is dropped. `time_ms` is the plain twin of `iso_ms`.
"""

import datetime as dt
import math
import re
from typing import Final

from stream.core.compiled import compiled
from stream.core.layout import Bytes

UNREAD: Final = -(2**62)  # a text that only `time_ms` can read, if it is a time
ISO_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?$"
)

_ISO: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(?:Z|([+-])([0-9]{2}):?([0-9]{2}))?"
)
_EPOCH_DAY: Final = dt.date(1970, 1, 1).toordinal()


def time_ms(value: float | str) -> int | None:
    """Read one time; None: it is none."""
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return math.floor(value) if math.isfinite(value) else None
    match = _ISO.fullmatch(value)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, off_hour, off_minute = match.groups()
    try:
        days = dt.date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    clock = (int(hour), int(minute), int(second or 0), int(off_hour or 0), int(off_minute or 0))
    if any(part > top for part, top in zip(clock, (23, 59, 59, 23, 59), strict=True)):
        return None
    offset = (clock[3] * 60 + clock[4]) * (-1 if sign == "-" else 1)
    minutes = days * 1440 + clock[0] * 60 + clock[1] - offset
    return (minutes * 60 + clock[2]) * 1000 + int(((fraction or "") + "000")[:3])


@compiled
def _digits(data: Bytes, at: int, count: int) -> int:
    """Read `count` digits; -1: one of them is none."""
    number = 0
    for i in range(at, at + count):
        digit = int(data[i]) - 48
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
    return number


@compiled
def _zone_minutes(data: Bytes, at: int, end: int) -> int:
    """Read Z, +hh:mm, +hhmm or nothing; 9999: neither."""
    size = end - at
    if size == 0 or (size == 1 and data[at] == 90):
        return 0
    sign = 1 if data[at] == 43 else -1
    if (data[at] != 43 and data[at] != 45) or size < 5 or size > 6:
        return 9999
    if size == 6 and data[at + 3] != 58:
        return 9999
    hours = _digits(data, at + 1, 2)
    minutes = _digits(data, end - 2, 2)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return 9999
    return sign * (hours * 60 + minutes)


@compiled
def iso_ms(data: Bytes, at: int, end: int) -> int:
    """Read an ISO text with seconds, 0.03 us; UNREAD for any other form, which `time_ms` reads."""
    if end - at < 19 or data[at + 4] != 45 or data[at + 7] != 45 or data[at + 13] != 58:
        return UNREAD
    if data[at + 16] != 58 or (data[at + 10] != 84 and data[at + 10] != 32):
        return UNREAD
    year, month, day = _digits(data, at, 4), _digits(data, at + 5, 2), _digits(data, at + 8, 2)
    hour, minute = _digits(data, at + 11, 2), _digits(data, at + 14, 2)
    second = _digits(data, at + 17, 2)
    if year < 1 or month < 1 or month > 12 or day < 1 or day > 28 + 3 * (month != 2):
        return UNREAD  # 29 February and wrong dates are left to `time_ms`
    if day == 31 and (month in (4, 6, 9, 11)):
        return UNREAD
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return UNREAD
    at += 19
    ms = 0
    if at < end and data[at] == 46:
        places = 0
        at += 1
        while at < end and 48 <= data[at] <= 57:
            if places < 3:
                ms = ms * 10 + int(data[at]) - 48
            places += 1
            at += 1
        if places == 0 or places > 9:
            return UNREAD
        for _ in range(3 - places):
            ms *= 10
    zone = _zone_minutes(data, at, end)
    if zone == 9999:
        return UNREAD
    # Days since 1970-01-01 of the proleptic Gregorian calendar, the year starting in March.
    y = year - (1 if month <= 2 else 0)
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    return (((days * 24 + hour) * 60 + minute - zone) * 60 + second) * 1000 + ms
