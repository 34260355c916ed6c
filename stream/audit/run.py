"""The audit from end to end: fix an end, read, check, report.

Order matters, since a worker may be running. The receipts are fixed at their last stable offset
first, then the inputs, which are thus at least as long. A transaction whose receipt is visible had
written its predictions before, so predictions and dead letters are read up to the high watermark of
afterwards, however long their markers take. Receipts that came meanwhile only excuse outputs that
are ahead of the fixed end.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from stream.audit import checks
from stream.audit.books import Books, Int64s, Intake
from stream.audit.decode import (
    IN_FLIGHT,
    OUTCOMES,
    Place,
    Receipt,
    read_dead_letter,
    read_event_id,
    read_prediction,
    read_receipt,
)

SINCE_SLACK_MS = 3_600_000  # clocks of producers may differ by this
SETTLE_POLL_S = 0.5

Ranges = Mapping[Place, tuple[int, int]]


class LogRecord(Protocol):
    """What is read of a record."""

    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class Log(Protocol):
    """Where the records come from: stream/shell/reader.py, or a test."""

    def ranges(self, topics: Sequence[str], *, stable: bool = True) -> Ranges:
        """First offset and end of each partition: the last stable offset, or the high watermark."""

    def offsets_at(self, topics: Sequence[str], timestamp_ms: int) -> Mapping[Place, int]:
        """First offset at or after a time, per partition; -1: none."""

    def records(self, ranges: Ranges) -> Iterator[LogRecord]:
        """Yield the committed records of the ranges, in order per partition."""


@dataclass(frozen=True, slots=True)
class Names:
    """Topics on the broker."""

    inputs: tuple[str, ...]
    receipts: str
    predictions: str
    dead_letters: str


@dataclass(slots=True)
class Report:
    """What the audit found."""

    counts: dict[Place, dict[str, int]] = field(default_factory=dict)  # by outcome
    problems: checks.Problems = field(default_factory=checks.Problems)
    firsts_gone: int = 0  # duplicates whose first is older than the log
    truncated: bool = False  # some log does not start at 0, or --since

    def total(self, outcome: str) -> int:
        """Events of an outcome."""
        return sum(row[outcome] for row in self.counts.values())

    def summary(self) -> str:
        """Put everything in one line."""
        totals = {outcome: self.total(outcome) for outcome in OUTCOMES}
        events = {"events": sum(totals.values())}
        numbers = {**events, **totals, "problems": self.problems.count}
        return " ".join(f"{name}={number}" for name, number in numbers.items())


def audit(log: Log, names: Names, since_ms: int | None = None, *, repeats: bool = False) -> Report:
    """Read everything and check it. `repeats`: outputs may stand twice (at_least_once)."""
    report = Report()
    books = Books(names.inputs)
    receipts = log.ranges([names.receipts])
    _read_receipts(log, receipts, books, report.problems)
    _read_inputs(log, _inputs(log, names, since_ms), books)
    report.truncated = any(intake.start > 0 for intake in books.intake.values())
    _read_outputs(log, names, since_ms, books, report.problems)
    _read_late_receipts(log, names, receipts, books)
    _check(books, report, repeats=repeats)
    return report


def wait_settled(log: Log, names: Names, settle_s: float, since_ms: int | None = None) -> bool:
    """Wait until every event has a receipt. False: time is up."""
    deadline_s = time.monotonic() + settle_s
    reached: dict[Place, int] = {}
    read: dict[Place, int] = {}
    while True:
        ranges = log.ranges([names.receipts])
        new = {place: (read.get(place, first), end) for place, (first, end) in ranges.items()}
        for receipt in _receipts(log, new, checks.Problems()):
            reached[receipt.place] = max(reached.get(receipt.place, 0), receipt.offset_next)
        read = {place: end for place, (_, end) in ranges.items()}
        if not _some_in_flight(log, _inputs(log, names, since_ms), reached):
            return True
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(SETTLE_POLL_S)


def _receipts(log: Log, ranges: Ranges, problems: checks.Problems) -> Iterator[Receipt]:
    for record in log.records(ranges):
        try:
            yield read_receipt(record.value)
        except ValueError as error:
            problems.add(f"{_where(record)}: receipt cannot be read: {error}")


def _read_receipts(log: Log, ranges: Ranges, books: Books, problems: checks.Problems) -> None:
    for receipt in _receipts(log, ranges, problems):
        try:
            books.add_receipt(receipt)
        except ValueError as error:
            problems.add(f"{receipt.place[0]}-{receipt.place[1]}-{receipt.offset_first}: {error}")


def _inputs(log: Log, names: Names, since_ms: int | None) -> dict[Place, tuple[int, int]]:
    ranges = dict(log.ranges(names.inputs))
    return ranges if since_ms is None else _cut(log, ranges, names.inputs, since_ms)


def _cut(
    log: Log, ranges: Ranges, topics: tuple[str, ...], since_ms: int
) -> dict[Place, tuple[int, int]]:
    """Start the ranges at a time."""
    starts = log.offsets_at(topics, since_ms)
    return {
        place: (max(first, starts[place] if starts[place] >= 0 else end), end)
        for place, (first, end) in ranges.items()
    }


def _read_inputs(log: Log, ranges: Ranges, books: Books) -> None:
    wanted = books.wanted_ids()
    nothing = np.zeros(0, np.int64)
    for place, (start, end) in ranges.items():
        books.intake[place] = Intake(start, end, wanted.get(place, nothing))
    for record in log.records(ranges):
        intake = books.intake[record.topic, record.partition]
        intake.add(record.offset, record.key)
        if record.offset >= intake.wanted_next:
            intake.add_id(record.offset, read_event_id(record.value))


def _read_outputs(
    log: Log, names: Names, since_ms: int | None, books: Books, problems: checks.Problems
) -> None:
    topics = (names.predictions, names.dead_letters)
    ranges = dict(log.ranges(topics, stable=False))
    if since_ms is not None:
        ranges = _cut(log, ranges, topics, since_ms - SINCE_SLACK_MS)
    for record in log.records(ranges):
        try:
            if record.topic == names.predictions:
                prediction = read_prediction(record.value)
                books.add_prediction(prediction, record.key, record.partition)
            else:
                books.add_dead_letter(*read_dead_letter(record.headers))
        except ValueError as error:
            problems.add(f"{_where(record)}: cannot be read: {error}")


def _read_late_receipts(log: Log, names: Names, before: Ranges, books: Books) -> None:
    after = log.ranges([names.receipts], stable=False)
    new = {place: (before[place][1], end) for place, (_, end) in after.items()}
    for receipt in _receipts(log, new, checks.Problems()):
        next_known = books.next_late.get(receipt.place, 0)
        books.next_late[receipt.place] = max(next_known, receipt.offset_next)


def _some_in_flight(log: Log, inputs: Ranges, reached: Mapping[Place, int]) -> bool:
    left = {
        place: (max(first, reached.get(place, first)), end)
        for place, (first, end) in inputs.items()
    }
    return any(True for _ in log.records(left))


def _check(books: Books, report: Report, *, repeats: bool) -> None:
    problems = report.problems
    for topic, number in sorted(books.places_named() - set(books.intake)):
        problems.add(f"{topic}-{number}: receipts or outputs speak of it, but it is no input")
    outcomes = {
        place: checks.settle_outcomes(books, place, problems) for place in sorted(books.intake)
    }
    good: dict[Place, Int64s] = {}
    for place, of_place in outcomes.items():
        good[place] = checks.check_predictions(books, place, of_place, problems, repeats=repeats)
        checks.check_dead_letters(books, place, of_place, problems, repeats=repeats)
        report.firsts_gone += checks.check_duplicates(books, place, outcomes, problems)
        numbers = np.bincount(of_place, minlength=IN_FLIGHT + 1)
        report.counts[place] = dict(zip(OUTCOMES, numbers.tolist(), strict=True))
    for number in sorted({number for _, number in good}):
        places = [place for place in good if place[1] == number]
        checks.check_users(
            number,
            [topic for topic, _ in places] * 2,
            [good[place] for place in places]
            + [checks.coalesced_of(books, place) for place in places],
            problems,
            whole=all(books.intake[place].start == 0 for place in places),
        )


def _where(record: LogRecord) -> str:
    return f"{record.topic}-{record.partition}-{record.offset}"
