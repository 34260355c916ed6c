"""A file as a stream of events, in order of event time, ready to publish.

Rules of the room: two passes. The first reads every row, checks that an event comes of it, and
finds out whether the file is in order of time; nothing is published before it is through. The
second makes the records: as they are read where the file is in order, else after a stable sort in
memory. Events of equal time keep the order of the file.

An event id is made of run id, digest of the file and line: a new run is new events, the same run id
again is the same events, all of them duplicates.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from math import isnan
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import numpy as np
import numpy.typing as npt

from stream.core.layout import topic_of
from stream.local.files_map import ColumnMap, FileError, choose_map
from stream.local.files_read import Broken, Row, TableFile

BLOCK_RECORDS: Final = 4_096
SORT_ROWS_MAX: Final = 5_000_000  # of a file that is not in order of time
BROKEN_SHOWN: Final = 5
SECONDS_BELOW: Final = 100_000_000_000  # a number below is seconds, else ms: 1973 in ms, 5138 in s
TIME_MS_MIN: Final = 946_684_800_000  # 2000-01-01, as in the contract of events
TIME_MS_MAX: Final = 4_102_444_800_000
TEXT_FIELDS: Final = ("session_id", "channel", "device", "region", "locale")
ITEM_FIELDS: Final = ("category", "brand")
_TOPIC_OF_TYPE: Final = {
    "click": topic_of["clicks"],
    "search": topic_of["searches"],
    "purchase": topic_of["purchases"],
}


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in order of event time: see stream.local.publish.Outgoing."""

    topic: npt.NDArray[np.uint8]
    keys: list[bytes | None]
    values: list[bytes]
    due_ms: npt.NDArray[np.int64]  # event time

    @property
    def shift(self) -> npt.NDArray[np.uint8]:
        """All 0: nothing goes to a wrong partition."""
        return np.zeros(len(self.values), np.uint8)

    def head(self, count: int) -> Self:
        """Give the first `count` records alone."""
        return type(self)(
            self.topic[:count], self.keys[:count], self.values[:count], self.due_ms[:count]
        )


@dataclass(slots=True)
class Survey:
    """What the first pass has found."""

    good: int = 0
    broken: int = 0
    first_broken: list[Broken] = field(default_factory=list)  # at most BROKEN_SHOWN
    in_order: bool = True
    first_ms: int = 0
    last_ms: int = 0


class Replay:
    """One run over one file. Raises FileError."""

    def __init__(
        self,
        path: Path,
        run_id: str,
        maps: Sequence[str] = (),
        constants: Sequence[str] = (),
        types: Sequence[str] = (),
    ) -> None:
        """Open the file and choose its map: see files_map.choose_map."""
        self.file = TableFile(path)
        try:
            self.map = choose_map(self.file.columns, maps, constants, types)
        except FileError as error:
            raise FileError(f"{path}: {error}") from error
        self.run_id = run_id
        self.digest = self.file.digest()
        self._convert = _Converter(self.map, f"{run_id}:{self.digest[:12]}")

    def survey(self, *, strict: bool = False) -> Survey:
        """Read the whole file once. Raises FileError on the first broken row if strict."""
        found = Survey()
        newest_ms = -1
        for made in self._made():
            if isinstance(made, Broken):
                if strict:
                    raise FileError(f"{self.file.path}: line {made.line}: {made.why}")
                found.broken += 1
                if len(found.first_broken) < BROKEN_SHOWN:
                    found.first_broken.append(made)
                continue
            time_ms = made[0]
            found.first_ms = time_ms if not found.good else min(found.first_ms, time_ms)
            found.last_ms = max(found.last_ms, time_ms)
            found.in_order &= time_ms >= newest_ms
            newest_ms = time_ms
            found.good += 1
        if not found.good:
            why = (
                f", e.g. line {b.line}: {b.why}"
                if (b := next(iter(found.first_broken), None))
                else ""
            )
            raise FileError(f"{self.file.path}: no usable row, {found.broken} broken{why}")
        if not found.in_order and found.good > SORT_ROWS_MAX:
            raise FileError(
                f"{self.file.path}: {found.good} rows not in order of time; at most"
                f" {SORT_ROWS_MAX} can be sorted here: sort the file by its time first"
            )
        return found

    def batches(self, survey: Survey) -> Iterator[Batch]:
        """Make the records, in order of event time."""
        good = (made for made in self._made() if not isinstance(made, Broken))
        if survey.in_order:
            yield from _batches(good)
            return
        held = list(good)
        times = np.frombuffer(array("q", (made[0] for made in held)), np.int64)
        order = np.argsort(times, kind="stable")
        yield from _batches(held[index] for index in order.tolist())

    def _made(self) -> Iterator["Made | Broken"]:
        convert = self._convert
        for row in self.file.rows(list(self.map.columns.values())):
            yield row if isinstance(row, Broken) else convert(row)


Made = tuple[int, int, bytes, bytes]  # event time, topic, key, value


def _batches(good: Iterator[Made]) -> Iterator[Batch]:
    block: list[Made] = []
    for made in good:
        block.append(made)
        if len(block) == BLOCK_RECORDS:
            yield _batch(block)
            block = []
    if block:
        yield _batch(block)


def _batch(block: list[Made]) -> Batch:
    return Batch(
        topic=np.array([made[1] for made in block], np.uint8),
        keys=[made[2] for made in block],
        values=[made[3] for made in block],
        due_ms=np.array([made[0] for made in block], np.int64),
    )


class _Converter:
    """Makes an event of a row: about 4 µs."""

    def __init__(self, mapping: ColumnMap, prefix: str) -> None:
        self._map = mapping
        self._fields = list(mapping.columns)
        self._prefix = prefix
        self._source = f"replay:{mapping.name}"
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, row: Row) -> Made | Broken:
        """Give event time, topic, key and value, or why not."""
        given = zip(self._fields, row.values, strict=True)
        held = {name: value for name, value in given if _is_given(value)}
        fields = {**self._map.constants, **held}
        try:
            return self._event(fields, row.line)
        except (ValueError, OverflowError) as error:  # a UnicodeEncodeError is a ValueError
            return Broken(row.line, str(error))

    def _event(self, fields: dict[str, Any], line: int) -> Made:
        named = _text(_needed(fields, "event_type"))
        found = self._map.type_of(named)
        if found is None:
            raise ValueError(f"event type {named!r} is not known: --type-map {named}=TYPE")
        kind, action = found
        time_ms = _time_ms(_needed(fields, "event_time"))
        time_ms += int(fields.get("time_offset_ms", 0))
        if not TIME_MS_MIN <= time_ms < TIME_MS_MAX:
            raise ValueError(f"time {fields['event_time']!r} is not in the years 2000 to 2099")
        event_id = f"{self._prefix}:{line}"
        event: dict[str, Any] = {
            "event_id": event_id, "event_type": kind, "event_time": time_ms
        }  # fmt: skip
        user, anonymous = fields.get("user_id"), fields.get("anonymous_id")
        if user is not None:
            event["user_id"] = key = _text(user)
        elif anonymous is not None:
            event["anonymous_id"] = _text(anonymous)
            key = f"anon:{event['anonymous_id']}"
        else:
            raise ValueError("user_id is missing")
        for name in TEXT_FIELDS:
            if name in fields:
                event[name] = _text(fields[name])
        _FILL[kind](event, fields, action)
        event["source"] = self._source
        return time_ms, _TOPIC_OF_TYPE[kind], key.encode(), self._encode(event)


def _fill_click(event: dict[str, Any], fields: dict[str, Any], action: str) -> None:
    event["action"] = action or _text(fields.get("action", "click"))
    event["item_id"] = _text(_needed(fields, "item_id"))
    _fill_item(event, fields)
    if "position" in fields:
        event["position"] = int(fields["position"])
    if "currency" in fields:
        event["currency"] = _text(fields["currency"])


def _fill_search(event: dict[str, Any], fields: dict[str, Any], _action: str) -> None:
    event["query"] = _text(_needed(fields, "query"))
    if "results_count" in fields:
        event["results_count"] = int(fields["results_count"])
    if "category" in fields:
        event["category"] = _text(fields["category"])


def _fill_purchase(event: dict[str, Any], fields: dict[str, Any], _action: str) -> None:
    event["order_id"] = _text(fields.get("order_id", event["event_id"]))
    item: dict[str, Any] = {"item_id": _text(_needed(fields, "item_id"))}
    item["quantity"] = int(fields.get("quantity", 1))
    _fill_item(item, fields)
    event["items"] = [item]
    if "currency" in fields:
        event["currency"] = _text(fields["currency"])


def _fill_item(item: dict[str, Any], fields: dict[str, Any]) -> None:
    for name in ITEM_FIELDS:
        if name in fields:
            item[name] = _text(fields[name])
    if "price" in fields:
        item["price"] = float(fields["price"])


_FILL: Final = {"click": _fill_click, "search": _fill_search, "purchase": _fill_purchase}


def _is_given(value: Any) -> bool:
    """Say no to None, "" and NaN, which is how Parquet files of pandas say "missing"."""
    return value is not None and value != "" and not (isinstance(value, float) and isnan(value))


def _needed(fields: dict[str, Any], name: str) -> Any:
    value = fields.get(name)
    if value is None:
        raise ValueError(f"{name} is missing")
    return value


def _text(value: Any) -> str:
    """Write an id or a word; a whole number that a file holds as float is written as a number."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _time_ms(value: Any) -> int:
    """Read a time. Raises ValueError."""
    if isinstance(value, str):
        try:
            number = int(value) if value.isdecimal() else float(value)
        except ValueError:
            value = datetime.fromisoformat(value)
        else:
            return _number_ms(number)
    if isinstance(value, bool) or value is None:
        raise ValueError(f"no time: {value!r}")
    if isinstance(value, (int, float)):
        return _number_ms(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise ValueError(f"no time: {value!r}")  # noqa: TRY004 - a broken row, not our error
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def _number_ms(number: float) -> int:
    return int(number * 1000) if number < SECONDS_BELOW else int(number)
