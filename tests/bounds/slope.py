"""Whether a series of measurements grows: a slope that a few wild points do not move."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

WARM_SHARE: Final = 0.3  # of the samples, from the start: caches fill, arrays reach their size
SAMPLES_MIN: Final = 8
PAIRED_MAX: Final = 300  # more samples are thinned: pairs grow with the square


@dataclass(frozen=True, slots=True)
class Trend:
    """A series after its warm-up, summed up."""

    first: float  # median of the first third
    last: float  # median of the last third
    growth: float  # Theil-Sen slope times the time covered

    @property
    def share(self) -> float:
        """Growth in parts of what it began with."""
        return self.growth / self.first if self.first else 0.0


def trend_of(times_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Sum a series up: the median of the slopes between all pairs, after the warm-up.

    Raises ValueError where there are too few samples to say.
    """
    start = int(len(values) * WARM_SHARE)
    step = max(1, (len(values) - start) // PAIRED_MAX)
    points = list(zip(times_s, values, strict=True))[start::step]
    if len(points) < SAMPLES_MIN:
        raise ValueError(f"{len(points)} samples after the warm-up, {SAMPLES_MIN} are needed")
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if b[0] > a[0]]
    third = max(1, len(points) // 3)
    return Trend(
        first=statistics.median(value for _, value in points[:third]),
        last=statistics.median(value for _, value in points[-third:]),
        growth=statistics.median(slopes) * (points[-1][0] - points[0][0]),
    )
