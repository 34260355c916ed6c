"""Numbers as a person reads them, by Grafana's names of units. Only for previews."""

import math
from typing import Final

SECONDS: Final = ((31_557_600, "years"), (86_400, "days"), (3600, "h"), (60, "min"), (1, "s"),
                  (1e-3, "ms"), (1e-6, "µs"))  # fmt: skip
BYTES: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
THOUSANDS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
SUFFIX: Final = {"eps": " events/s", "cps": " /s", "watt": " W", "Bps": "/s"}


def on_axis(value: float, unit: str) -> str:
    """Write a value where there is little room: without what is said anyway."""
    text = shown(value, unit)
    return text.removesuffix(SUFFIX[unit]) if unit in SUFFIX else text


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """Write a value in three digits or so; decimals only count for a percentage."""
    if math.isnan(value):
        return "none"
    if unit == "percentunit":
        return f"{value * 100:.{1 if decimals is None else decimals}f} %"
    if value == 0:
        return "0" + SUFFIX.get(unit, "")
    size, name = _step(value, unit)
    space = " " if name and unit in {"s", "bytes", "Bps"} else ""
    return f"{_three(value / size)}{space}{name}{SUFFIX.get(unit, '')}"


def step_of(value: float, unit: str) -> float:
    """Give what a value is counted in: seconds or minutes, bytes or MiB, one or thousands."""
    return _step(value, unit)[0]


def _step(value: float, unit: str) -> tuple[float, str]:
    steps = {"s": SECONDS, "bytes": BYTES, "Bps": BYTES}.get(unit, THOUSANDS)
    return next((step for step in steps if abs(value) >= step[0]), steps[-1])


def _three(value: float) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
