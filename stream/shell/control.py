"""The control topic: read which model is active, follow it on a thread, write a record.

Rules of the room: a worker never stops because of this topic. Where it cannot be read, that is said
and tried again; the model that serves goes on.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

from stream.connection import OPEN, BrokerError
from stream.security import Security
from stream.shell.reader import Reader, ReadStalledError, Record
from stream.shell.republish import Republisher
from stream.wire.control import ControlError, decode_control, encode_control
from stream.wire.types import ModelControl

log = logging.getLogger(__name__)
AGAIN_S: Final = 5.0

Positions = dict[tuple[str, int], int]


def read_control(
    bootstrap: str, topic: str, model: str, security: Security = OPEN
) -> tuple[ModelControl | None, Positions]:
    """Read the record that is in force, and where to go on. Raises BrokerError.

    A record that cannot be used is logged and passed over: the one before counts.
    """
    found: ModelControl | None = None
    with Reader(bootstrap, security) as reader:
        ranges = reader.ranges([topic])
        for record in reader.records(ranges):
            found = _record_of(record, model, _tell_refused) or found
    return found, {place: end for place, (_, end) in ranges.items()}


def write_control(
    bootstrap: str, topic: str, record: ModelControl, security: Security = OPEN
) -> None:
    """Put a record in force. Raises BrokerError, ControlError."""
    key, value = encode_control(record)
    producer = Republisher(bootstrap, security)
    producer.send(topic, key, value, [])
    producer.close()


class Following(Protocol):
    """Who is told of the topic, on one thread: stream.flow.follow.Follower."""

    def take(self, record: ModelControl) -> None:
        """Follow another record from now on."""

    def refuse(self, reason: str) -> None:
        """Take notice of a record that cannot be used."""

    def step(self) -> None:
        """Do what is due; called a few times a second."""


class ControlThread:
    """Tells of the record in force at its start, then of each new one."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        model: str,
        positions: Positions,
        following: Following,
        record: ModelControl | None,
        security: Security = OPEN,
    ) -> None:
        self._bootstrap = bootstrap
        self._security = security
        self._topic = topic
        self._model = model
        self._positions = dict(positions)
        self._following = following
        self._record = record
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Run the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stopped.set()

    def _run(self) -> None:
        if self._record is not None:
            self._following.take(self._record)
        while not self._stopped.is_set():
            try:
                self._follow()
            except (BrokerError, ReadStalledError) as error:
                log.warning("model-control cannot be followed: %s", error)
            except Exception:
                log.exception("model-control cannot be followed")
            self._stopped.wait(AGAIN_S)

    def _follow(self) -> None:
        with Reader(self._bootstrap, self._security) as reader:
            for record in reader.follow(self._positions):
                if self._stopped.is_set():
                    return
                if record is None:
                    self._following.step()
                    continue
                self._positions[record.topic, record.partition] = record.offset + 1
                control = _record_of(record, self._model, self._following.refuse)
                if control is not None:
                    self._following.take(control)


def _tell_refused(reason: str) -> None:
    log.error("model-control: record ignored: %s", reason)


def _record_of(record: Record, model: str, refuse: Callable[[str], None]) -> ModelControl | None:
    if record.key != model.encode() or record.value is None:
        return None
    try:
        return decode_control(record.key, record.value)
    except ControlError as error:
        refuse(f"{record.topic}-{record.partition}-{record.offset}: {error}")
        return None
