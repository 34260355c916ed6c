"""How far a worker's transaction is, as the broker's coordinator sees it: what a kill aims at.

Rules of the room: nothing is asked of the worker. No client library at hand describes
transactions, so the request is written here by hand (KIP-664: API 65, version 0, flexible): 0.3 ms.
"""

import socket
import struct
from enum import StrEnum
from typing import Final

DESCRIBE_TRANSACTIONS: Final = 65
OFFSETS_TOPIC: Final = "__consumer_offsets"
_NOT_FOUND: Final = 105  # TRANSACTIONAL_ID_NOT_FOUND: it has not been used yet
_TIMEOUT_S: Final = 5.0


class Phase(StrEnum):
    """Where a transaction stands."""

    NONE = "none"
    OPEN = "open"  # records were sent
    OFFSETS = "offsets"  # the input offsets were sent, too: all that is missing is its end
    ENDING = "ending"  # the end was asked for; markers are being written


INSIDE: Final = frozenset({Phase.OPEN, Phase.OFFSETS, Phase.ENDING})
_ENDING: Final = frozenset({"PrepareCommit", "PrepareAbort"})


class Coordinator:
    """A connection to the one broker that coordinates all transactions. Not for threads."""

    def __init__(self, bootstrap: str) -> None:
        host, _, port = bootstrap.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), _TIMEOUT_S)

    def close(self) -> None:
        self._socket.close()

    def phase(self, transactional_id: str) -> Phase:
        """Ask for the phase of a worker's transaction."""
        name = transactional_id.encode()
        header = struct.pack(">hhihB", DESCRIBE_TRANSACTIONS, 0, 7, -1, 0)
        body = b"\x02" + bytes([len(name) + 1]) + name + b"\x00"
        self._socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        (size,) = struct.unpack(">i", self._read(4))
        return _phase(_Fields(self._read(size)))

    def _read(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            if not part:
                raise ConnectionError("the broker closed the connection")
            parts += part
        return parts


class _Fields:
    """Reads the fields of a flexible answer, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(">" + form, self._data, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def count(self) -> int:
        """Unsigned variable-length number: the length of what follows, plus one."""
        value = shift = 0
        while True:
            byte = self.number("B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self) -> str:
        size = self.count() - 1
        self._at += size
        return self._data[self._at - size : self._at].decode()

    def no_tags(self) -> None:
        if self.count():
            raise ValueError("tagged fields, where version 0 has none")


def _phase(fields: _Fields) -> Phase:
    fields.number("i")  # correlation
    fields.no_tags()
    fields.number("i")  # throttle
    if fields.count() != 2:
        raise ValueError("one transaction was asked for")
    error = fields.number("h")
    fields.text()  # transactional id
    state = fields.text()
    if error == _NOT_FOUND:
        return Phase.NONE
    if error:
        raise ValueError(f"the coordinator answers with error {error}")
    for form in ("i", "q", "q", "h"):  # time-out, start, producer, epoch
        fields.number(form)
    topics = []
    for _ in range(fields.count() - 1):
        topics.append(fields.text())
        for _ in range(fields.count() - 1):
            fields.number("i")
        fields.no_tags()
    if state in _ENDING:
        return Phase.ENDING
    if state != "Ongoing":
        return Phase.NONE
    return Phase.OFFSETS if OFFSETS_TOPIC in topics else Phase.OPEN
