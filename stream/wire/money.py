"""Prices to whole cents.

Rules of the room: a price is a JSON number or a plain decimal text in currency units. Cents are
floor(price * 100 + 0.5) in float64: the nearest cent, halves upwards. A negative price, one of more
than PRICE_CENTS_MAX cents and any other text are refused. -1 means "not given".
"""

import math
import re
from typing import Final

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
