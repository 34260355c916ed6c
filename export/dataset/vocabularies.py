"""What a model is to know by name: counted on the train split alone, most frequent first.

Rules of the room: of scored events only, so neither duplicates nor dead letters count. Equal counts
go by text. A text that train has not seen is in no vocabulary: later splits meet it as unknown.
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from export.dataset.event_log import EventLog, step_index
from export.dataset.names import CONTEXTS, Names
from stream.core.layout import STEP, Records
from stream.model.vocabulary import Texts
from stream.wire.hashing import id_hash

POPULAR: Final = 100
UNKNOWN_ROWS: Final = 8  # of unknown items and of unknown categories, each
TOKEN_BUCKETS: Final = 1024
ITEM_FROM: Final = ("item", "category")

Counted = list[tuple[str, int]]  # text, how often


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: texts of the train split with their counts, most frequent first."""

    items: Counted  # steps
    categories: Counted  # steps
    channels: Counted  # events
    devices: Counted
    regions: Counted

    def texts(self, items_max: int | None = None, items_min: int = 1) -> Texts:
        """Name what a model knows: at most `items_max` items of at least `items_min` steps.

        Raises ValueError where no item is left.
        """
        items = [text for text, count in self.items[:items_max] if count >= items_min]
        if not items:
            raise ValueError(f"no item of train comes {items_min} times")
        return Texts(
            items=items,
            categories=_named(self.categories),
            channels=_named(self.channels),
            devices=_named(self.devices),
            regions=_named(self.regions),
            popular=list(range(1, min(POPULAR, len(items)) + 1)),
            unknown_items=UNKNOWN_ROWS,
            unknown_categories=UNKNOWN_ROWS,
            token_buckets=TOKEN_BUCKETS,
        )


def count_texts(log: EventLog, names: Names, events: npt.NDArray[np.intp]) -> Counts:
    """Count what some events of a log name."""
    held = log.events[events]
    steps = log.steps[step_index(held)]
    contexts = (_counted(held[name], names.contexts[name]) for name in CONTEXTS)
    channels, devices, regions = contexts
    return Counts(
        items=_counted(steps["item"], names.items),
        categories=_counted(steps["category"], names.categories),
        channels=channels,
        devices=devices,
        regions=regions,
    )


def items_from_categories(log: EventLog, names: Names) -> EventLog:
    """Make the category of every step its item, for logs that are too sparse in items.

    Steps without a category have no item then. `names.items` becomes the categories' texts.
    """
    table = {value: id_hash(text) for value, text in names.categories.items()}
    values, place = np.unique(log.steps["category"], return_inverse=True)
    hashes = np.array([table.get(value, 0) for value in values.tolist()], np.uint64)
    steps = np.array(log.steps, STEP)
    steps["item"] = hashes[place]
    names.items = {id_hash(text): text for text in names.categories.values()}
    return EventLog(log.events, steps, log.users, log.end_ms, log.partition_first)


def _named(counted: Counted) -> list[str]:
    return [text for text, _ in counted]


def _counted(values: Records, texts: dict[int, str]) -> Counted:
    found, counts = np.unique(values[values > 0], return_counts=True)
    pairs = zip(found.tolist(), counts.tolist(), strict=True)
    named = [(texts[value], count) for value, count in pairs]
    return sorted(named, key=lambda pair: (-pair[1], pair[0]))
