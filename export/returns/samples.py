"""What is known of each customer at a cut, and whether they came in the days after it.

Rules of the room: a sample looks at nothing after its cut but for its label. `columns` are
functions of the sample alone, so that what is fitted at one cut can be asked at another.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from export.baselines.histories import Histories, histories_of
from export.baselines.pareto_nbd import ParetoNbd
from export.returns.purchases import Doubles, Integers, Purchases

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sample:
    """B customers who bought at least once up to a day."""

    purchases: Purchases
    last_day: int  # known
    horizon: int  # days after the last day known
    customer: Integers  # (B,)
    first: Integers  # (B,) row of the first visit in purchases; the others follow it
    count: Integers  # (B,) visits up to the last day known
    histories: Histories  # (B,) in days, aged to the end of the last day known
    returned: Flags  # (B,) the label

    def __len__(self) -> int:
        """Count the customers."""
        return len(self.first)

    @property
    def share(self) -> float:
        """Share that returned."""
        return float(self.returned.mean())


def sample_at(purchases: Purchases, last_day: int, horizon: int) -> Sample:
    """Know all up to and with `last_day`, ask about the `horizon` days after it.

    Raises ValueError where nobody is known, or all or none return.
    """
    cut = last_day + 1
    known = purchases.day < cut
    customer, first, count = np.unique(
        purchases.customer[known], return_index=True, return_counts=True
    )
    if not len(customer):
        raise ValueError(f"no purchase up to {_date(last_day)}")
    first = np.flatnonzero(known)[first]
    later = (purchases.day >= cut) & (purchases.day < cut + horizon)
    returned = np.isin(customer, purchases.customer[later])
    if returned.all() or not returned.any():
        raise ValueError(
            f"of {len(customer)} customers of {_date(last_day)}, {int(returned.sum())} buy in the"
            f" {horizon} days after it: nothing to tell apart"
        )
    place = np.searchsorted(customer, purchases.customer[known])
    histories = histories_of(
        place, purchases.day[known].astype(np.float64), float(cut), users_count=len(customer)
    )
    return Sample(purchases, last_day, horizon, customer, first, count, histories, returned)


def recency_frequency_money(sample: Sample) -> Doubles:
    """Days since the last visit, log repeats, log money: (B, 3)."""
    histories = sample.histories
    money = np.add.reduceat(*_of_sample(sample, sample.purchases.money))
    silence = histories.age - histories.last
    return np.stack([silence, np.log1p(histories.repeats), np.log1p(money)], axis=1)


def elapsed(sample: Sample) -> Doubles:
    """Days since the last visit, plain and logarithmic: (B, 2)."""
    silence = sample.histories.age - sample.histories.last
    return np.stack([silence, np.log1p(silence)], axis=1)


def buyer_columns(sample: Sample, buyers: ParetoNbd) -> Doubles:
    """Columns that mean the same at any age and for any horizon: (B, 7).

    What Pareto/NBD expects of the customer in the horizon (it has fitted the sample's past, not its
    label), log money of a visit, silence as a share of the age, repeats.
    """
    histories, money = sample.histories, sample.purchases.money
    spent = np.add.reduceat(*_of_sample(sample, money)) / sample.count
    silence = histories.age - histories.last
    return np.stack(
        [
            -special.logit(clipped(buyers.p_silent(histories, sample.horizon))),
            np.log(buyers.expected(histories, sample.horizon) + 1e-4),
            special.logit(clipped(buyers.p_alive(histories))),
            np.log1p(spent),
            np.log1p(money[sample.first + sample.count - 1]),
            np.log1p(silence) - np.log(histories.age),
            np.log1p(histories.repeats),
        ],
        axis=1,
    )


def clipped(probability: Doubles) -> Doubles:
    """Keep a probability where its logit is finite."""
    return np.clip(probability, 1e-6, 1 - 1e-6)


def _of_sample(sample: Sample, values: Doubles) -> tuple[Doubles, Integers]:
    """Give the values of visits up to the cut, and where each customer's begin."""
    starts = sample.count.cumsum() - sample.count
    at = np.repeat(sample.first - starts, sample.count) + np.arange(sample.count.sum())
    return values[at], starts


def _date(day: int) -> str:
    return dt.date.fromordinal(day).isoformat()
