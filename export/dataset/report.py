"""What the data are like, before anything is learned from them: counts, gaps, outliers, labels.

Rules of the room: it looks at everything and decides nothing. `describe` gives numbers, `render` a
page for a person.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from export.dataset.event_log import EventLog, step_index
from export.dataset.record import Recorded
from export.dataset.split import SPLITS, Cuts
from export.dataset.splits import Split, Splits
from export.dataset.vocabularies import Counts
from stream.core.layout import (
    ACTIONS,
    EVENT_TYPES,
    SESSION_GAP_MS,
    TOPICS,
    Outcome,
    Reason,
    Records,
)

QUANTILES: Final = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
OUTLIER_TIMES: Final = 10  # so many times the 99th percentile

Numbers = npt.NDArray[Any]
Report = dict[str, Any]


def describe(
    log: EventLog,
    recorded: Recorded,
    of_event: npt.NDArray[np.uint8],
    cuts: Cuts,
    splits: Splits,
    counts: Counts,
) -> Report:
    """Describe a log and its splits. JSON types only; times in epoch ms."""
    events = log.events
    good = recorded.outcome == Outcome.PREDICTED
    scored = events[good]
    steps = log.steps[step_index(scored)]
    late = recorded.rows["late"] == 1
    rows = recorded.rows
    return {
        "counts": {
            "events": len(events),
            "users": len(log.users),
            "rows": len(rows),
            "partitions": len(log.partition_first),
            "items": len(counts.items),
            "categories": len(counts.categories),
            "topics": _named(TOPICS, events["topic"]),
            "types": _named(EVENT_TYPES, scored["event_type"]),
            "actions": _named(ACTIONS, steps["action"]),
            "outcomes": _named([o.name.lower() for o in Outcome], recorded.outcome),
            "dead_letters": _named([r.name.lower() for r in Reason], recorded.reason[~good], 1),
            "late": int(late.sum()),
        },
        "late_ms": _quantiles((rows["as_of_ms"] - rows["event_time_ms"])[late]),
        "missing": _missing(scored, steps),
        "repeated": _repeated(scored, steps),
        "outliers": _outliers(scored, steps),
        "users": _users(scored),
        "splits": {
            split.name: {
                "from_ms": int(max(cuts.span_ms(split.name)[0], _first_ms(scored))),
                "until_ms": cuts.span_ms(split.name)[1],
                **_split(split, splits, of_event),
            }
            for split in splits.each()
        },
    }


def _split(split: Split, splits: Splits, of_event: npt.NDArray[np.uint8]) -> Report:
    data, recorded = split.data, split.recorded
    labels = data.labels
    named = recorded.item > 0
    known = np.isin(data.user, splits.train.data.user)
    code = SPLITS.index(split.name)
    reach_back = int((of_event[recorded.event] != code).sum())
    if reach_back:
        raise ValueError(f"{reach_back} rows of {split.name} were applied outside of it")
    hazard = labels.hazard
    return {
        "events": int((of_event == code).sum()),
        "rows": len(data.user),
        "users": len(np.unique(data.user)),
        "rows_of_users_not_in_train": _share(~known),
        "rows_of_unknown_items": _share(data.item[named] == 0),
        "next_items_unknown": _share(data.next_item[labels.next_item > 0] == 0),
        "sequences": len(data.lengths),
        "sequence_steps": _quantiles(data.lengths),
        "labels": {
            "next_item_known": _share(data.next_item > 0),
            "next_event_known": _share(labels.next_type >= 0),
            "purchase_known": _share(labels.purchase >= 0),
            "purchase_rate": _share(labels.purchase[labels.purchase >= 0] == 1),
            "hazard_known": [_share(column >= 0) for column in hazard.T],
            "hazard_rate": [_share(column[column >= 0] == 1) for column in hazard.T],
        },
    }


def _missing(scored: Records, steps: Records) -> Report:
    """Share of steps or events that do not give a field."""
    searches = steps["event_type"] == EVENT_TYPES.index("search")
    return {
        "price": _share(steps["price_cents"][~searches] < 0),
        "category": _share(steps["category"] == 0),
        "item": _share(steps["item"][~searches] == 0),
        "words_of_searches": _share(~steps["tokens"][searches].any(axis=1)),
        "channel": _share(scored["channel"] == 0),
        "device": _share(scored["device"] == 0),
        "region": _share(scored["region"] == 0),
    }


def _repeated(scored: Records, steps: Records) -> int:
    """Count steps that say the same under another event id: user, time, item, action, words."""
    owner = np.repeat(scored["user"].astype(np.int64), scored["steps_count"])
    told = np.stack([
        owner, steps["time_ms"], steps["item"].view(np.int64), steps["action"].astype(np.int64),
        steps["tokens"].astype(np.int64) @ (1 << np.array([0, 16, 32, 47])),
    ])  # fmt: skip
    return int(told.shape[1] - len(np.unique(told, axis=1).T)) if told.size else 0


def _outliers(scored: Records, steps: Records) -> Report:
    """Count what lies far out: OUTLIER_TIMES the 99th percentile. Nothing is left out."""
    prices = steps["price_cents"][steps["price_cents"] >= 0]
    per_user = np.unique(scored["user"], return_counts=True)[1]
    return {
        "prices_far_above": _far(prices),
        "quantities_far_above": _far(steps["quantity"]),
        "users_with_far_more_events": _far(per_user),
        "price_cents": _quantiles(prices),
        "quantity": _quantiles(steps["quantity"]),
    }


def _users(scored: Records) -> Report:
    """Describe events per user, gaps between a user's events, and visits (split by 30 min)."""
    order = np.lexsort((scored["time_ms"], scored["user"]))
    user, time_ms = scored["user"][order], scored["time_ms"][order]
    same = user[1:] == user[:-1]
    gaps = np.diff(time_ms)[same]
    visits = len(np.unique(user)) + int((gaps > SESSION_GAP_MS).sum())
    return {
        "events": _quantiles(np.unique(user, return_counts=True)[1]),
        "gap_ms": _quantiles(gaps),
        "visits": visits,
        "events_per_visit": round(len(user) / visits, 2) if visits else None,
    }


def _first_ms(scored: Records) -> int:
    return int(scored["time_ms"].min())


def _named(names: Any, codes: Numbers, first: int = 0) -> dict[str, int]:
    counts = np.bincount(codes, minlength=len(names)).tolist()
    return dict(list(zip(names, counts, strict=True))[first:])


def _share(mask: Numbers) -> float | None:
    """Share of True; None of nothing."""
    return round(float(mask.mean()), 5) if mask.size else None


def _far(values: Numbers) -> int:
    if not len(values):
        return 0
    return int((values > OUTLIER_TIMES * max(1.0, float(np.quantile(values, 0.99)))).sum())


def _quantiles(values: Numbers) -> dict[str, float] | None:
    if not len(values):
        return None
    found = np.quantile(values, QUANTILES)
    return {f"{q:g}": round(float(value), 2) for q, value in zip(QUANTILES, found, strict=True)}
