"""What happened to items, one row a step: what every source is brought to. Numpy.

Rules of the room: a log is taken as any dataset takes it, from files, topics or a simulated shop;
its steps hold hashes, so the names gathered beside it are needed. An event that came twice counts
once, one from the future not at all. A file of purchases has no items: all of it is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from export.dataset.event_log import EventLog, step_index
from export.dataset.names import Names
from export.returns.purchases import Purchases
from stream.core.config import DAY_MS, EngineConfig
from stream.core.layout import ACTIONS, Reason

ALL: Final = "all"  # the one series of data, or of a question, without items
_PURCHASE: Final = ACTIONS.index("purchase")
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class DemandError(ValueError):
    """The data or the question cannot be used. The message is one line, for the user."""


@dataclass(frozen=True, slots=True)
class Activity:
    """n steps with an item, in any order. What they are of: index into `items`, `categories`."""

    items: list[str]
    categories: list[str]
    item: npt.NDArray[np.int64]  # (n,)
    category: npt.NDArray[np.int64]  # (n,) -1: not given
    time_ms: npt.NDArray[np.int64]  # (n,)
    action: npt.NDArray[np.int64]  # (n,) index into core.layout.ACTIONS
    quantity: npt.NDArray[np.float64]  # (n,) 1 unless a purchase says otherwise
    money: npt.NDArray[np.float64]  # (n,) paid, or that would be, in the currency's units; NaN: ?
    left_out: int = 0  # events that came again, or from the future
    users: int = 0


def of_log(log: EventLog, names: Names) -> Activity:
    """Take the steps of a log's good events; an item or category without a name gets its hash."""
    events = log.events
    ahead = events["time_ms"] - events["timestamp_ms"] > EngineConfig().future_ms_max
    good = np.flatnonzero((events["reason"] == Reason.NONE) & (events["steps_count"] > 0))
    fresh = good[~ahead[good]]
    first = np.unique(events["event_id"][fresh], return_index=True)[1]
    steps = log.steps[step_index(events[fresh[np.sort(first)]])]
    steps = steps[steps["item"] > 0]
    items, item = np.unique(steps["item"], return_inverse=True)
    categories, category = np.unique(steps["category"], return_inverse=True)
    cents = steps["price_cents"].astype(np.float64)
    quantity = steps["quantity"].astype(np.float64)
    return Activity(
        items=_texts(items, names.items),
        categories=_texts(categories, names.categories),
        item=item.astype(np.int64),
        category=np.where(steps["category"] == 0, -1, category),
        time_ms=steps["time_ms"].astype(np.int64),
        action=steps["action"].astype(np.int64),
        quantity=quantity,
        money=np.where(cents < 0, np.nan, quantity * cents / 100),
        left_out=len(good) - len(first),
        users=len(log.users),
    )


def of_purchases(purchases: Purchases) -> Activity:
    """Take a file of purchases, each day of a customer one; at midnight UTC."""
    count = len(purchases.day)
    zeros = np.zeros(count, np.int64)
    return Activity(
        items=[ALL],
        categories=[ALL],
        item=zeros,
        category=zeros,
        time_ms=(purchases.day - _EPOCH_DAY) * DAY_MS,
        action=np.full(count, _PURCHASE),
        quantity=purchases.units,
        money=purchases.money,
        users=len(purchases.names),
    )


def _texts(hashes: npt.NDArray[Any], names: Mapping[int, str]) -> list[str]:
    return [names.get(int(key), f"{key:x}") for key in hashes.tolist()]
