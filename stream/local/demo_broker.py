"""The broker and the topics of a demo: found or made, and given back as they were.

Rules of the room: adapters stand on this floor too, so the command hands them in (Kafka). A broker
that was running stays; one that a demo started is stopped by the last demo that uses it.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from stream.local.kafka import embedded
from stream.local.tally import Record
from stream.settings import Settings


class Topics(Protocol):
    """Makes and deletes the topics of one deployment."""

    def apply(self) -> list[str]:
        """Create them."""

    def delete(self) -> list[str]:
        """Delete them."""


class Reading(Protocol):
    """Reads topics; a context that ends with its connection."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Disconnect."""

    def ranges(
        self, topics: Sequence[str], *, stable: bool = True
    ) -> dict[tuple[str, int], tuple[int, int]]:
        """First offset and end of each partition."""

    def follow(self, positions: Mapping[tuple[str, int], int]) -> Iterator[Record | None]:
        """Yield committed records for ever; None when there is none at the moment."""


@dataclass(frozen=True, slots=True)
class Kafka:
    """How the demo reaches a broker; the command gives it, since adapters are on this floor too."""

    topics: Callable[[str, Settings], Topics]
    reading: Callable[[str], Reading]


@contextmanager
def broker_for(settings: Settings) -> Iterator[str]:
    """Give the broker's address. The embedded one is started if need be, and then stopped again.

    Several demos may share it: the last one to leave stops it, if one of them started it.
    """
    if settings.broker:
        yield settings.broker
        return
    settings.state_path.mkdir(parents=True, exist_ok=True)
    kafka = embedded(settings)
    with (settings.state_path / "demo.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            was_running = kafka.status().is_running
            bootstrap = kafka.up()
            if not was_running:
                lock.truncate(0)
                lock.write(str(kafka.status().pid))
                lock.flush()
            yield bootstrap
        finally:
            if _alone(lock.fileno()):
                lock.seek(0)
                if lock.read() == str(kafka.status().pid):
                    kafka.down()


def _alone(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def topics_of(topics: Topics, *, keep: bool) -> Iterator[None]:
    """Create the topics of the run, and delete them at its end."""
    try:
        topics.apply()
        yield
    finally:
        if not keep:
            topics.delete()
