"""Where the records come from: a protocol, its one adapter, and the names of the topics."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from stream.audit.run import LogRecord, Names, Ranges
from stream.wire.topics import DEAD_LETTERS, INPUTS, PREDICTIONS, RECEIPTS


class ServedError(ValueError):
    """What was served cannot be rebuilt. The message is one line and says why."""


class Record(LogRecord, Protocol):
    """A record with its own time."""

    @property
    def timestamp_ms(self) -> int: ...  # noqa: D102


class Log(Protocol):
    """stream.shell.reader.Reader, or a test's."""

    def ranges(self, topics: Sequence[str], *, stable: bool = True) -> Ranges:
        """First offset and end of each partition: the last stable offset, or the high watermark."""

    def offsets_at(self, topics: Sequence[str], timestamp_ms: int) -> Mapping[tuple[str, int], int]:
        """First offset at or after a time, per partition; -1: none."""

    def records(self, ranges: Ranges) -> Iterator[Record]:
        """Yield the committed records of the ranges, in order per partition."""


def names_of(topic_prefix: str) -> Names:
    """Name the topics under a prefix."""
    return Names(
        tuple(topic_prefix + name for name in INPUTS),
        topic_prefix + RECEIPTS,
        topic_prefix + PREDICTIONS,
        topic_prefix + DEAD_LETTERS,
    )
