"""Survival of silence, the plain way: what p is, and when it next crosses a threshold."""

import math
from collections.abc import Callable, Sequence


class Survival:
    """One user's hazard. p(s) = S(s + H) / S(s): the chance of no activity for another H."""

    def __init__(self, hazard: Sequence[float], edges_ms: Sequence[int], horizon_ms: int) -> None:
        self.edges_ms = [0, *edges_ms]
        self.horizon_ms = horizon_ms
        self.losses = [-math.log1p(-h) for h in hazard]  # of log S, per bin

    def loss(self, silence_ms: int) -> float:
        """Return -log S at a silence: linear within a bin, the last bin's rate for ever after."""
        total = 0.0
        bins = list(zip(self.edges_ms, self.edges_ms[1:], self.losses, strict=False))
        for first, last, loss in bins:
            if silence_ms <= last:
                return total + loss * (silence_ms - first) / (last - first)
            total += loss
        first, last, loss = bins[-1]
        return total + loss * (silence_ms - last) / (last - first)

    def churn(self, silence_ms: int) -> float:
        """Return p at a silence."""
        return math.exp(self.loss(silence_ms) - self.loss(silence_ms + self.horizon_ms))

    def first(self, silence_ms: int, holds: Callable[[float], bool]) -> int | None:
        """Return the first whole ms from `silence_ms` at which p satisfies `holds`.

        log p is linear between the places where s or s + H meets an edge, so between two of
        them it is monotone and a bisection finds the ms. Beyond the last edge p is constant.
        """
        corners = {e for e in self.edges_ms if e >= silence_ms}
        corners |= {e - self.horizon_ms for e in self.edges_ms if e - self.horizon_ms >= silence_ms}
        places = sorted(corners | {silence_ms})
        for place, following in zip(places, [*places[1:], None], strict=True):
            if holds(self.churn(place)):
                return place
            if following is not None and holds(self.churn(following)):
                low, high = place, following  # does not hold at low, holds at high
                while high - low > 1:
                    middle = (low + high) // 2
                    if holds(self.churn(middle)):
                        high = middle
                    else:
                        low = middle
                return high
        return None
