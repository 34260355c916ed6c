"""Prices to whole cents, one at a time and by column.

Rules of the room: a price is a JSON number or a plain decimal text in currency units. Cents are
floor(price * 100 + 0.5) in float64: the nearest cent, halves upwards. A negative price, one of more
than PRICE_CENTS_MAX cents and any other text are refused. -1 means "not given".
"""

import math
import re
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.wire.limits import PRICE_CENTS_MAX

REFUSED_CENTS: Final = -2
PRICE_PATTERN: Final = r"^[0-9]{1,10}(\.[0-9]{1,20})?$"

_PRICE: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,20})?")

Price = float | str | None


def price_cents(price: Price) -> int:
    """Read one price; -1: not given, REFUSED_CENTS: it is none."""
    if price is None:
        return -1
    if isinstance(price, str):
        if _PRICE.fullmatch(price) is None:
            return REFUSED_CENTS
        price = float(price)
    if not 0 <= price <= PRICE_CENTS_MAX:
        return REFUSED_CENTS
    cents = math.floor(price * 100 + 0.5)
    return cents if cents <= PRICE_CENTS_MAX else REFUSED_CENTS


def cents_column(prices: list[Price]) -> npt.NDArray[np.int64]:
    """Read a column, 0.06 us a price when none is text."""
    if prices.count(None) == len(prices):
        return np.full(len(prices), -1, np.int64)
    if str in set(map(type, prices)):
        return np.array([price_cents(price) for price in prices], np.int64)
    units = np.array(prices, np.float64)  # None becomes NaN; JSON knows no NaN of its own
    with np.errstate(invalid="ignore", over="ignore"):
        cents = np.floor(units * 100 + 0.5)
        wrong = (units < 0) | (cents > PRICE_CENTS_MAX)
    cents[np.isnan(units)] = -1
    cents[wrong] = REFUSED_CENTS
    return cents.astype(np.int64)
