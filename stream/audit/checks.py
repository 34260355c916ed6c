"""The checks: every event has one outcome, and what was published agrees with it.

Rules of the room: one function per rule of CONTRACTS.md, each on one input topic partition, except
`check_users`, on one partition number. Problems are told with topic, partition and offset.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.audit.books import Books, Int64s
from stream.audit.decode import (
    COALESCED,
    DEAD_LETTERED,
    DUPLICATE,
    IN_FLIGHT,
    OUTCOMES,
    PREDICTED,
    Place,
)

SHOWN_MAX: Final = 20
_UNTOLD: Final = -2  # user_seq of a row that has no prediction
Outcomes = npt.NDArray[np.int8]


@dataclass(slots=True)
class Problems:
    """Counts all problems and keeps the words of the first."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, text: str, count: int = 1) -> None:
        """Add one problem, or one that stands for several."""
        self.count += count
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(text)

    def add_all(self, texts: Iterator[str], count: int) -> None:
        """Add many problems; the words are made only for those that are shown."""
        self.count += count
        self.shown += islice(texts, SHOWN_MAX - len(self.shown))

    def add_each(self, place: Place, offsets: Int64s, text: str) -> None:
        """Add the same problem at many offsets."""
        texts = (f"{place[0]}-{place[1]}-{offset}: {text}" for offset in offsets)
        self.add_all(texts, len(offsets))


def settle_outcomes(books: Books, place: Place, problems: Problems) -> Outcomes:
    """Give each event its outcome by the receipts, which must tile the log.  # (n,) int8."""
    intake = books.intake[place]
    offsets = intake.offsets
    outcomes: Outcomes = np.full(len(offsets), IN_FLIGHT, np.int8)
    receipts = books.receipts(place)
    receipts = receipts[np.argsort(receipts[:, 0], kind="stable")]
    receipts = receipts[receipts[:, 1] > intake.start]  # older ones: their events are gone
    first, after, predicted, exempt = receipts.T
    low = np.searchsorted(offsets, first)
    high = np.searchsorted(offsets, after)
    reached = intake.start  # all events before it have a receipt
    for row in range(len(receipts)):
        if first[row] < reached and row > 0:
            problems.add(
                f"{place[0]}-{place[1]}-{first[row]}: receipts overlap: {first[row]} to"
                f" {after[row]} comes after one that ends at {reached}"
            )
        missing = np.searchsorted(offsets, reached), low[row]
        if missing[0] < missing[1]:
            problems.add(
                f"{place[0]}-{place[1]}-{offsets[missing[0]]}: no receipt for"
                f" {missing[1] - missing[0]} events between {reached} and {first[row]}",
                int(missing[1] - missing[0]),
            )
        whole = first[row] >= intake.start
        if whole and predicted[row] + exempt[row] != high[row] - low[row]:
            problems.add(
                f"{place[0]}-{place[1]}-{first[row]}: receipt to {after[row]} says"
                f" {predicted[row]} predicted and {exempt[row]} exceptions, the log holds"
                f" {high[row] - low[row]} events there"
            )
        outcomes[low[row] : high[row]] = PREDICTED
        reached = max(reached, int(after[row]))
    if reached > max(intake.end, intake.start):
        problems.add(
            f"{place[0]}-{place[1]}-{intake.end}: a receipt goes to {reached}, the log ends at"
            f" {intake.end}: was the topic made anew?"
        )
    _exempt(books, place, outcomes, problems)
    return outcomes


def _exempt(books: Books, place: Place, outcomes: Outcomes, problems: Problems) -> None:
    intake = books.intake[place]
    rows = books.exempt(place)
    rows = rows[rows[:, 0] >= intake.start]
    at, known = _find(intake.offsets, rows[:, 0])
    problems.add_each(place, rows[~known, 0], "a receipt names an offset that holds no event")
    at, rows = at[known], rows[known]
    strange = (rows[:, 0] < rows[:, 4]) | (rows[:, 0] >= rows[:, 5])
    problems.add_each(place, rows[strange, 0], "a receipt names an offset outside its range")
    _, firsts = np.unique(at, return_index=True)
    again = np.ones(len(at), bool)
    again[firsts] = False
    problems.add_each(place, rows[again, 0], "receipts give it two outcomes")
    outcomes[at] = rows[:, 1]


def check_predictions(
    books: Books, place: Place, outcomes: Outcomes, problems: Problems, *, repeats: bool
) -> Int64s:
    """Match predictions with events; returns the settled ones, one per event, in offset order.

    `repeats`: the same prediction may stand twice (guarantee at_least_once).
    """
    intake = books.intake[place]
    rows = books.predictions(place)
    rows = rows[(rows[:, 0] >= intake.start) & (rows[:, 0] < intake.end)]
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    at, known = _find(intake.offsets, rows[:, 0])
    problems.add_each(place, rows[~known, 0], "a prediction for an offset that holds no event")
    at, rows = at[known], rows[known]
    counts = np.bincount(at, minlength=len(outcomes))
    lost = (outcomes == PREDICTED) & (counts == 0)
    problems.add_each(place, intake.offsets[lost], "predicted by its receipt, but no prediction")
    if not repeats:
        doubled = counts > 1
        problems.add_each(place, intake.offsets[doubled], "more than one prediction")
    _check_unexpected(books, place, outcomes, counts, problems, "prediction", PREDICTED, repeats)
    stray = rows[:, 5] != place[1]
    problems.add_each(place, rows[stray, 0], "its prediction lies in another partition number")
    other = rows[:, 1] != intake.keys[at]
    problems.add_each(place, rows[other, 0], "its prediction is of another user than its key")
    settled = outcomes[at] == PREDICTED
    at, rows = at[settled], rows[settled]
    # Of repeats the last holds: those before were published by a try that did not commit.
    last = len(at) - 1 - np.unique(at[::-1], return_index=True)[1]
    good: Int64s = rows[last]
    back = np.flatnonzero(np.diff(good[:, 4]) <= 0) + 1
    problems.add_each(
        place, good[back, 0], "its prediction's partition_seq is not above that of the event before"
    )
    return good


def check_dead_letters(
    books: Books, place: Place, outcomes: Outcomes, problems: Problems, *, repeats: bool
) -> None:
    """Match dead letters with events."""
    intake = books.intake[place]
    found = np.sort(books.dead_letters(place))
    found = found[(found >= intake.start) & (found < intake.end)]
    at, known = _find(intake.offsets, found)
    problems.add_each(place, found[~known], "a dead letter of an offset that holds no event")
    counts = np.bincount(at[known], minlength=len(outcomes))
    lost = (outcomes == DEAD_LETTERED) & (counts == 0)
    problems.add_each(place, intake.offsets[lost], "dead-lettered, but there is no dead letter")
    if not repeats:
        problems.add_each(place, intake.offsets[counts > 1], "more than one dead letter")
    _check_unexpected(
        books, place, outcomes, counts, problems, "dead letter", DEAD_LETTERED, repeats
    )


def _check_unexpected(
    books: Books,
    place: Place,
    outcomes: Outcomes,
    counts: npt.NDArray[np.intp],
    problems: Problems,
    what: str,
    wanted: int,
    repeats: bool,
) -> None:
    if repeats:  # outputs leave before their receipt; a try that did not commit merged otherwise
        return
    offsets = books.intake[place].offsets
    strange = (counts > 0) & (outcomes != wanted) & (outcomes != IN_FLIGHT)
    for code, outcome in enumerate(OUTCOMES):
        here = offsets[strange & (outcomes == code)]
        problems.add_each(place, here, f"a {what}, but its receipt says {outcome}")
    late = books.next_late.get(place, 0)
    ahead = (counts > 0) & (outcomes == IN_FLIGHT) & (offsets >= late)
    problems.add_each(place, offsets[ahead], f"a {what} without a receipt")


def check_duplicates(
    books: Books, place: Place, outcomes: dict[Place, Outcomes], problems: Problems
) -> int:
    """Compare duplicates with their firsts; returns how many firsts are older than the log."""
    intake = books.intake[place]
    rows = books.exempt(place)
    rows = rows[(rows[:, 1] == DUPLICATE) & (rows[:, 0] >= intake.start)]
    rows = rows[_find(intake.offsets, rows[:, 0])[1]]
    gone = 0
    for code, topic in enumerate(books.topics):
        first_place = (topic, place[1])
        mine = rows[rows[:, 2] == code]
        if first_place not in books.intake or not len(mine):
            continue
        firsts = books.intake[first_place]
        old = mine[:, 3] < firsts.start
        gone += int(np.count_nonzero(old))
        mine = mine[~old]
        at, known = _find(firsts.offsets, mine[:, 3])
        ids, first_ids = intake.ids_of(mine[:, 0]), firsts.ids_of(mine[:, 3])
        after = (mine[:, 3] >= mine[:, 0]) if first_place == place else np.zeros(len(mine), bool)
        kept = np.isin(outcomes[first_place][at], (PREDICTED, COALESCED))
        wrong = (
            (~known, "holds no event"),
            (known & after, "does not come before it"),
            (known & ((ids != first_ids) | (ids == 0)), "has another event id"),
            (known & ~kept, "was not predicted"),
        )
        for which, why in wrong:
            texts = (
                f"{place[0]}-{place[1]}-{row[0]}: duplicate of {topic}-{place[1]}-{row[3]},"
                f" which {why}"
                for row in mine[which]
            )
            problems.add_all(texts, int(np.count_nonzero(which)))
    return gone


def coalesced_of(books: Books, place: Place) -> Int64s:
    """Rows that were coalesced, as `check_users` wants them.  # (c, 6), shaped as predictions."""
    intake = books.intake[place]
    exempt = books.exempt(place)
    exempt = exempt[(exempt[:, 1] == COALESCED) & (exempt[:, 0] >= intake.start)]
    at, known = _find(intake.offsets, exempt[:, 0])
    exempt, at = exempt[known], at[known]
    rows = np.full((len(exempt), 6), _UNTOLD, np.int64)
    rows[:, 0], rows[:, 1], rows[:, 4] = exempt[:, 0], intake.keys[at], exempt[:, 6]
    return rows


def check_users(
    number: int, topics: list[str], parts: list[Int64s], problems: Problems, *, whole: bool
) -> None:
    """Check that user_seq runs 1..k within a user's epoch, in order of partition_seq.

    `parts` are the good predictions of each topic of one partition number, and rows that were
    coalesced: each of these is a number left out before the user's next prediction, which there
    must be. `whole`: the logs start at their first event; else what came before is unknown, of
    one topic more than of another, and numbers need only rise.
    """
    rows = np.concatenate(parts)
    code = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    order = np.lexsort((rows[:, 4], rows[:, 1]))  # user, partition_seq
    rows, code = rows[order], code[order]
    seqs = np.sort(rows[:, 4])
    told = rows[:, 2] != _UNTOLD
    following = _following(rows[:, 1], told)
    if whole:
        lost = np.flatnonzero(following < 0)
        texts = (
            f"{topics[code[at]]}-{number}-{rows[at, 0]}: coalesced, and its user has no later"
            " prediction"
            for at in lost
        )
        problems.add_all(texts, len(lost))
    skipped = np.bincount(following[~told & (following >= 0)], minlength=len(rows))[told]
    rows, code = rows[told], code[told]
    new = np.ones(len(rows), bool)
    new[1:] = (np.diff(rows[:, 1]) != 0) | (np.diff(rows[:, 3]) != 0)
    good = np.ones(len(rows), bool)
    gaps = np.diff(rows[:, 2]) - skipped[1:]
    good[1:] = new[1:] | ((gaps == 1) if whole else (gaps >= 1))
    if whole:
        good &= ~new | (rows[:, 2] == 1 + skipped)
    wrong = np.flatnonzero(~good)
    texts = (
        f"{topics[code[at]]}-{number}-{rows[at, 0]}: its prediction has user_seq {rows[at, 2]}"
        f" after {0 if new[at] else rows[at - 1, 2]} in epoch {rows[at, 3]} of its user"
        f"{f', {skipped[at]} coalesced between' if skipped[at] else ''}"
        for at in wrong
    )
    problems.add_all(texts, len(wrong))
    twice = np.unique(seqs[1:][np.diff(seqs) == 0])
    texts = (
        f"partition {number}: partition_seq {seq} in several predictions or receipts"
        for seq in twice
    )
    problems.add_all(texts, len(twice))


def _following(users: Int64s, told: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Find each row's next one that was told, itself included, of the same user.  # (n,) -1: none.

    Rows are in order of user, then partition_seq.
    """
    index = np.where(told, np.arange(len(users)), len(users))
    following = np.minimum.accumulate(index[::-1])[::-1]
    following[following == len(users)] = -1
    other = users[following] != users if len(users) else np.zeros(0, bool)
    return np.where(other, -1, following)


def _find(offsets: Int64s, wanted: Int64s) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Look offsets up.  # (k,) index, clipped; (k,) whether it is there."""
    if not len(offsets):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(offsets, wanted), len(offsets) - 1)
    return at, offsets[at] == wanted
