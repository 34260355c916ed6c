"""The worker's log: a line a thing, for people or as JSON, and no flood when something fails.

Rules of the room: what is said often is said BURST times in WINDOW_S and then counted; the count is
said when the window is over, or at the end. Critical lines always come. Of a record only what is
named here is written: no `extra` of a library, so no key and no secret that it may hold.
"""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from stream.settings import Settings
from stream.wire.topics import TABLE

HUMAN: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
BURST: Final = 5  # lines of a kind
WINDOW_S: Final = 10.0
KINDS_MAX: Final = 256  # remembered; beyond it the oldest is told and forgotten
_VARIES: Final = re.compile(r"0x[0-9a-f]+|\d+")


def open_log(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all lines of this process to one place, in the form of the settings.

    Libraries stay at INFO: at DEBUG aiokafka logs whole requests, passwords and keys in them.
    """
    handler = LimitedHandler(stream or sys.stderr)
    names = [settings.topic(topic.name) for topic in TABLE]
    is_json = settings.log_format == "json"
    handler.setFormatter(JsonLines(names) if is_json else logging.Formatter(HUMAN))
    level = logging.getLevelNamesMapping()[settings.log_level]
    logging.basicConfig(level=max(logging.INFO, level), handlers=[handler], force=True)
    logging.getLogger("stream").setLevel(settings.log_level)


class JsonLines(logging.Formatter):
    """One JSON object a line; topic, partition and offset apart, where the message names them.

    Messages write a place as `topic[3]`, `topic-3` or `topic-3-41`.
    """

    def __init__(self, topics: list[str]) -> None:
        super().__init__()
        longest_first = sorted(topics, key=len, reverse=True)
        names = "|".join(re.escape(name) for name in longest_first)
        self._place = re.compile(rf"(?<![\w.-])({names})(?:\[(\d+)\]|-(\d+)(?:-(\d+))?)(?![\w-])")

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        message = record.getMessage()
        at = datetime.fromtimestamp(record.created, UTC)
        note: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
        }
        place = self._place.search(message)
        if place is not None:
            note["topic"] = place[1]
            note["partition"] = int(place[2] or place[3])
            if place[4]:
                note["offset"] = int(place[4])
        if record.exc_info:
            note["exception"] = self.formatException(record.exc_info)
        return json.dumps(note, ensure_ascii=False)


@dataclass(slots=True)
class _Kind:
    """Lines that are alike, in the present window."""

    began_s: float
    said: int
    last: logging.LogRecord  # of those not said; the first of all until then
    suppressed: int = 0


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes lines, BURST of a kind in WINDOW_S: same logger, level and words, numbers apart."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], _Kind] = {}
        self.suppressed_count = 0  # ever
        self._timer: threading.Timer | None = None  # where something is not said yet

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it. The handler's lock is held."""
        now_s = self._clock()
        self._tell_ended(now_s)
        if record.levelno >= logging.CRITICAL:
            super().emit(record)
            return
        key = (record.name, record.levelno, _VARIES.sub("#", str(record.msg)))
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= KINDS_MAX:
                self._tell(self._kinds.pop(next(iter(self._kinds))), now_s)
            kind = self._kinds[key] = _Kind(now_s, 0, record)
        if kind.said < BURST:
            kind.said += 1
            super().emit(record)
        else:
            self._tell_in_time()
            kind.suppressed += 1
            kind.last = record
            self.suppressed_count += 1

    def close(self) -> None:
        """Say what was not said."""
        self.acquire()
        try:
            if self._timer is not None:
                self._timer.cancel()
            for kind in self._kinds.values():
                self._tell(kind, self._clock())
            self._kinds.clear()
        finally:
            self.release()
        super().close()

    def _tell_in_time(self) -> None:
        """Have counts said when windows are over, though nothing else may be logged then."""
        if self._timer is None:
            self._timer = threading.Timer(WINDOW_S, self._time_is_over)
            self._timer.daemon = True
            self._timer.start()

    def _time_is_over(self) -> None:
        self.acquire()
        try:
            self._timer = None
            self._tell_ended(self._clock())
            if any(kind.suppressed for kind in self._kinds.values()):
                self._tell_in_time()
        finally:
            self.release()

    def _tell_ended(self, now_s: float) -> None:
        ended = [key for key, kind in self._kinds.items() if now_s - kind.began_s >= WINDOW_S]
        for key in ended:
            self._tell(self._kinds.pop(key), now_s)

    def _tell(self, kind: _Kind, now_s: float) -> None:
        if not kind.suppressed:
            return
        last = kind.last
        said = "%d more like this in %.0f s, not shown; the last: %s"
        values = (kind.suppressed, now_s - kind.began_s, last.getMessage())
        summary = logging.LogRecord(
            last.name, last.levelno, last.pathname, last.lineno, said, values, None
        )
        super().emit(summary)
