"""Train, validation and test by time: what belongs to which, and that nothing crosses.

Rules of the room: within a partition an event belongs to the split in whose time it was applied.
A split begins at its first event at or past the cut; what comes late after it belongs to it, for
when the split before was over, nobody knew of it. At a cut (h, c) is dropped, as when a model is
swapped, and a split's sequences begin with its own first steps: no window crosses. Counters and
recency (head features) are of the user's whole past, as in service.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from export.dataset.event_log import EventLog
from export.dataset.record import Integers, Recorded
from stream.core.config import EngineConfig
from stream.core.layout import NEVER_MS, Reason, Records
from stream.core.plan import Scores

SPLITS: Final = ("train", "validation", "test")
# Arrays of Recorded that have an entry a row and keep it.
_OF_ROW: Final = ("head", "context", "recent", "rows", "user", "event_type", "item", "event")


@dataclass(frozen=True, slots=True)
class Cuts:
    """Event times at which splits begin, and the end of the last. Raises ValueError."""

    validation_ms: int
    test_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        """Check the order."""
        if not 0 < self.validation_ms < self.test_ms < self.end_ms:
            raise ValueError(
                f"validation from {self.validation_ms}, test from {self.test_ms}, end "
                f"{self.end_ms}: each must be after the one before"
            )

    def span_ms(self, split: str) -> tuple[int, int]:
        """Begin and end of a split; train begins at 0."""
        stamps = (0, self.validation_ms, self.test_ms, self.end_ms)
        at = SPLITS.index(split)
        return stamps[at], stamps[at + 1]


def cuts_by_share(log: EventLog, validation: float, test: float) -> Cuts:
    """Cut so that about these shares of the good events come last. Raises ValueError.

    Only event times are looked at. Shares are of events, so that one that claims a time far away
    does not move the cuts.
    """
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise ValueError(f"shares of validation={validation} and test={test} leave no split each")
    times = np.sort(log.events["time_ms"][good_events(log.events)])
    if len(times) < len(SPLITS):
        raise ValueError(f"{len(times)} usable events are too few for {len(SPLITS)} splits")
    first = int(len(times) * (1 - validation - test))
    second = int(len(times) * (1 - test))
    return Cuts(int(times[first]), int(times[second]), log.end_ms)


def good_events(events: Records) -> npt.NDArray[np.bool_]:
    """Events that the decoder took and that are not from the future: (n,)."""
    ahead = events["time_ms"] - events["timestamp_ms"] > EngineConfig().future_ms_max
    return np.asarray((events["reason"] == Reason.NONE) & ~ahead)


def cut_places(log: EventLog, cuts: Cuts, jump_ms_max: int) -> list[int]:
    """Index of each partition's first event of validation and of test; one that has none: its end.

    A time that jumps further than `jump_ms_max` past a cut does not begin a split where one within
    it can: a wrong clock is not the next week.
    """
    times = np.where(good_events(log.events), log.events["time_ms"], NEVER_MS)
    places = []
    for start, end in log.spans():
        for cut_ms in (cuts.validation_ms, cuts.test_ms):
            past = np.flatnonzero(times[start:end] >= cut_ms)
            near = past[times[start:end][past] < cut_ms + jump_ms_max]
            found = near if len(near) else past
            places.append(start + (int(found[0]) if len(found) else end - start))
    return places


def split_of_events(log: EventLog, places: list[int]) -> npt.NDArray[np.uint8]:
    """Index into SPLITS of each event: (n,)."""
    split = np.zeros(len(log.events), np.uint8)
    for number, (start, end) in enumerate(log.spans()):
        first, second = places[2 * number : 2 * number + 2]
        split[first:end] = 1
        split[second:end] = 2
        split[start:first] = 0
    return split


def part_of(recorded: Recorded, rows: Integers, since_ms: int) -> Recorded:
    """Keep some rows and the steps that they read from `since_ms` on; sequences are renumbered.

    Of a sequence either none or all rows of its split are wanted. A sequence whose older steps are
    left out begins like a new user's: no gap before. Raises ValueError where a row has no step.
    """
    sequences = np.unique(recorded.row_sequence[rows])
    number = np.full(int(recorded.sequence.max()) + 1, -1)
    number[sequences] = np.arange(len(sequences))
    kept = (number[recorded.sequence] >= 0) & (recorded.steps["time_ms"] >= since_ms)
    cut_off = (number[recorded.sequence] >= 0) & ~kept
    before = np.bincount(number[recorded.sequence[cut_off]], minlength=len(sequences))
    sequence = number[recorded.sequence[kept]]
    position = recorded.position[kept] - before[sequence]
    gap_ms = np.where(position == 0, -1, recorded.gap_ms[kept])
    row_sequence = number[recorded.row_sequence[rows]]
    row_position = recorded.row_position[rows] - before[row_sequence]
    if len(rows) and row_position.min() < 0:
        raise ValueError("a row has no step within its split")
    scores = recorded.scores
    return replace(
        recorded,
        steps=recorded.steps[kept],
        gap_ms=gap_ms,
        sequence=sequence,
        position=position,
        row_sequence=row_sequence,
        row_position=row_position,
        scores=Scores(
            scores.next_event[rows],
            scores.purchase[rows],
            scores.hazard[rows],
            scores.items[rows],
            scores.item_scores[rows],
        ),
        **{name: getattr(recorded, name)[rows] for name in _OF_ROW},
    )


def rows_of_split(
    recorded: Recorded, split: npt.NDArray[np.uint8], name: str, since_ms: int
) -> Integers:
    """Rows applied in a split whose newest step lies in it: late ones that reach back are out."""
    inside = split[recorded.event] == SPLITS.index(name)
    return np.flatnonzero(inside & (recorded.rows["as_of_ms"] >= since_ms))
