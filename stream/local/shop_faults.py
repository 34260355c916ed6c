"""What goes wrong in the simulated shop, on purpose, and what should become of it.

Rules of the room: a fault is one code per row, so the stream and its truth cannot disagree. Good
events stay good: a duplicate, a bot's event or a poison record is a record added beside them, and a
late event is a good one delivered later. Poison is made of a good row's bytes, so that exactly one
thing is wrong with it.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from stream.core.layout import Reason

TOO_LARGE_BYTES: Final = 2 << 20


class Fault(IntEnum):
    """What is wrong with a record. NONE, DUPLICATE and LATE are good events."""

    NONE = 0
    DUPLICATE = 1
    LATE = 2
    BOT = 3
    FUTURE = 4
    GARBAGE = 5
    TRUNCATED = 6
    NOT_UTF8 = 7
    NOT_AN_OBJECT = 8
    WRONG_TYPE = 9
    FIELD_MISSING = 10
    BAD_TIME = 11
    UNKNOWN_TYPE = 12
    TOO_LARGE = 13
    KEY_NULL = 14
    KEY_OF_ANOTHER = 15
    WRONG_PARTITION = 16


REASON: Final = {
    Fault.NONE: Reason.NONE,
    Fault.DUPLICATE: Reason.NONE,
    Fault.LATE: Reason.NONE,
    Fault.BOT: Reason.BOT,
    Fault.FUTURE: Reason.FROM_FUTURE,
    Fault.GARBAGE: Reason.UNDECODABLE,
    Fault.TRUNCATED: Reason.UNDECODABLE,
    Fault.NOT_UTF8: Reason.UNDECODABLE,
    Fault.NOT_AN_OBJECT: Reason.SCHEMA_INVALID,
    Fault.WRONG_TYPE: Reason.SCHEMA_INVALID,
    Fault.FIELD_MISSING: Reason.SCHEMA_INVALID,
    Fault.BAD_TIME: Reason.BAD_VALUE,
    Fault.UNKNOWN_TYPE: Reason.UNKNOWN_TYPE,
    Fault.TOO_LARGE: Reason.TOO_LARGE,
    Fault.KEY_NULL: Reason.KEY_MISSING,
    Fault.KEY_OF_ANOTHER: Reason.KEY_MISMATCH,
    Fault.WRONG_PARTITION: Reason.WRONG_PARTITION,
}
POISON: Final = tuple(fault for fault in Fault if fault >= Fault.GARBAGE)
# A 2 MB record is rare, else it would be most of the bytes.
POISON_WEIGHTS: Final = np.array([0.05 if f is Fault.TOO_LARGE else 1.0 for f in POISON])


@dataclass(frozen=True, slots=True)
class FaultRates:
    """Shares of the good events. Raises ValueError outside of 0 to 0.5."""

    duplicates: float = 0.01
    late: float = 0.01
    bots: float = 0.005
    poison: float = 0.002
    future: float = 0.0005
    skewed_users: float = 0.01  # of the users whose client stamps: its clock is hours wrong

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in self.__slots__:
            if not 0 <= getattr(self, name) <= 0.5:
                raise ValueError(f"share of {name} must be 0 to 0.5, not {getattr(self, name)}")


NO_FAULTS: Final = FaultRates(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Record:
    """Key and value as they are sent; shift 1: to the partition after the key's own."""

    key: bytes | None
    value: bytes
    shift: int = 0


def spoil(fault: Fault, key: bytes, value: bytes) -> Record:
    """Make a poison record of a good one. Raises ValueError where the fault is no poison."""
    half = value[: len(value) // 2]
    match fault:
        case Fault.GARBAGE:
            return Record(key, bytes(byte ^ 0x5A for byte in half))
        case Fault.TRUNCATED:
            return Record(key, half)
        case Fault.NOT_UTF8:
            return Record(key, value.replace(b'"event_id":"', b'"event_id":"\xff\xfe', 1))
        case Fault.NOT_AN_OBJECT:
            return Record(key, b"[" + value + b"]")
        case Fault.WRONG_TYPE:
            return Record(key, value.replace(b'"event_id":"', b'"event_id":[7],"was":"', 1))
        case Fault.FIELD_MISSING:
            return Record(key, value.replace(b'"event_time":', b'"event_time_was":', 1))
        case Fault.BAD_TIME:
            return Record(key, value.replace(b'"event_time":', b'"event_time":"soon","was":', 1))
        case Fault.UNKNOWN_TYPE:
            return Record(key, value.replace(b'"event_type":"', b'"event_type":"hover_', 1))
        case Fault.TOO_LARGE:
            return Record(key, value[:-1] + b',"note":"' + b"x" * TOO_LARGE_BYTES + b'"}')
        case Fault.KEY_NULL:
            return Record(None, value)
        case Fault.KEY_OF_ANOTHER:
            return Record(key + b"x", value)
        case Fault.WRONG_PARTITION:
            return Record(key, value, shift=1)
        case _:
            raise ValueError(f"no poison: {fault!r}")
