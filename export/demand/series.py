"""Activity as series: one number a period and item, category or all; and where they are cut.

Rules of the room: the first and the last period of the data are left out, being seldom whole. Which
series are taken is decided by their sum in the train part: the test part has no say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from export.demand.activity import ALL, Activity, DemandError
from export.demand.question import MEASURES, Calendar
from stream.core.layout import ACTIONS

Doubles = npt.NDArray[np.float64]

TRAIN_SHARE: Final = 0.8
PERIODS_MAX: Final = 200_000
NAMES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Periods before `fit` are learned from, before `train` validated on, the rest tested on."""

    fit: int
    train: int
    total: int


@dataclass(frozen=True, slots=True)
class SeriesSet:
    """S series of T periods."""

    names: list[str]
    counts: Doubles  # (S, T)
    period_first: int  # number of the first period in the calendar
    calendar: Calendar
    measure: str
    by: str

    def season_index(self, season: int) -> npt.NDArray[np.int32]:
        """Place of each period, and of the one after the last, in its season: (T + 1,)."""
        periods = self.period_first + np.arange(self.counts.shape[1] + 1)
        return (periods % season).astype(np.int32)


def split_of(total: int, look_back: int, horizon: int, season: int) -> Split:
    """Cut T periods: 64 % fit, 16 % validation, 20 % test. Raises DemandError if too few."""
    fit, train = _cuts(total)
    if _fits(total, look_back, horizon, season):
        return Split(fit, train, total)
    need = next(n for n in range(total, PERIODS_MAX) if _fits(n, look_back, horizon, season))
    raise DemandError(
        f"{total} whole periods are too few for a look-back of {look_back}, a horizon of"
        f" {horizon} and a season of {season}: {need} are needed, or shorter periods, or less of"
        " --look-back, --horizon, --season"
    )


def _cuts(total: int) -> tuple[int, int]:
    train = int(TRAIN_SHARE * total)
    return int(TRAIN_SHARE * train), train


def _fits(total: int, look_back: int, horizon: int, season: int) -> bool:
    fit, train = _cuts(total)
    return fit > max(look_back, 2 * season) and min(train - fit, total - train) >= horizon


def series_of(
    activity: Activity,
    by: str,
    measure: str,
    calendar: Calendar,
    *,
    only: Sequence[str] = (),
    series_max: int,
) -> SeriesSet:
    """Count. Takes the series named in `only`, else the largest of the train part.

    Raises DemandError: no event that counts, an unknown name, no price.
    """
    if len(activity.item) == 0:
        raise DemandError("no event has an item")
    names, place = _places(activity, by)
    amount, counted = _amounts(activity, measure)
    period = (activity.time_ms - calendar.offset_ms) // calendar.period_ms
    first, last = int(period.min()) + 1, int(period.max())
    total = last - first
    if total < 1:
        raise DemandError(f"all events within two periods of a {calendar.name}: none is whole")
    if total > PERIODS_MAX:
        raise DemandError(
            f"{total} periods of a {calendar.name} from first to last event, at most {PERIODS_MAX}:"
            " is a time wrong, or --period too short?"
        )
    inside = counted & (place >= 0) & (period >= first) & (period < last)
    if not inside.any():
        raise DemandError(f"no {measure} by {by} in {total} whole periods")
    place, period, amount = place[inside], period[inside] - first, amount[inside]
    learned = period < _cuts(total)[1]
    sums = np.bincount(place[learned], amount[learned], len(names)).astype(np.float64)
    taken = _taken(names, sums, only, series_max)
    if len(taken) == 0:
        raise DemandError(f"no {measure} in the first 80 % of the periods")
    row = np.full(len(names), -1)
    row[taken] = np.arange(len(taken))
    kept = row[place] >= 0
    flat = row[place[kept]] * total + period[kept]
    counts = np.bincount(flat, amount[kept], len(taken) * total).astype(np.float64)
    counts = counts.reshape(len(taken), total)
    return SeriesSet([names[index] for index in taken], counts, first, calendar, measure, by)


def _places(activity: Activity, by: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    if by == "item":
        return activity.items, activity.item
    if by == "category":
        return activity.categories, activity.category
    return [ALL], np.zeros(len(activity.item), np.int64)


def _amounts(activity: Activity, measure: str) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    actions, summed = MEASURES[measure]
    counted = np.isin(activity.action, [ACTIONS.index(action) for action in actions])
    if summed == "steps":
        return np.ones(len(counted)), counted
    if summed == "quantity":
        return activity.quantity, counted
    priced = counted & ~np.isnan(activity.money)
    if counted.any() and not priced.any():
        raise DemandError("no purchase has a price, so there is no revenue")
    return np.where(priced, activity.money, 0.0), priced


def _taken(names: list[str], sums: Doubles, only: Sequence[str], series_max: int) -> list[int]:
    if not only:
        order = np.argsort(-sums, kind="stable")[:series_max]
        return [int(index) for index in order if sums[index] > 0]
    index_of = {name: index for index, name in enumerate(names)}
    for name in only:
        if name not in index_of:
            largest = [names[index] for index in np.argsort(-sums, kind="stable")[:NAMES_SHOWN]]
            raise DemandError(f"no {name!r} in the data; the largest are {', '.join(largest)}")
        if sums[index_of[name]] <= 0:
            raise DemandError(f"{name!r} has nothing to learn from in the first 80 %")
    return [index_of[name] for name in dict.fromkeys(only)]
