"""The records that every room shares: what an event, a step and a user are, byte by byte.

Rules of the room: little-endian, packed, versioned by LAYOUT_VERSION. STEP and USER are written to
the changelog as they stand, so a change here is a new version. Codes are never reused.
"""

from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

LAYOUT_VERSION: Final = 1

TOPICS: Final = ("clicks", "searches", "purchases")  # the index is the topic's code
EVENT_TYPES: Final = ("click", "search", "purchase")  # the index is the type's code
ACTIONS: Final = ("view", "click", "cart", "favourite", "search", "purchase")

HAZARD_BINS: Final = 8
TOKENS_MAX: Final = 4
PURCHASE_STEPS_MAX: Final = 64

# Sub-buckets of the counters: (window, sub-bucket) in ms. Six of 10 min, six of 4 h, seven of 1 d.
COUNTER_WINDOWS_MS: Final = (3_600_000, 86_400_000, 604_800_000)
COUNTER_BUCKETS_MS: Final = (600_000, 14_400_000, 86_400_000)
COUNTER_BUCKETS: Final = (6, 6, 7)
COUNTER_CELLS: Final = len(EVENT_TYPES) * sum(COUNTER_BUCKETS)  # 57

SESSION_GAP_MS: Final = 1_800_000
NEVER_MS: Final = -(2**62)
ALWAYS_LATER_MS: Final = 2**62


class Outcome(IntEnum):
    """What became of an event: disjoint, one per event."""

    PREDICTED = 0
    DUPLICATE = 1
    DEAD_LETTERED = 2
    CONTROL = 3
    FORGOTTEN = 4
    COALESCED = 5


class Reason(IntEnum):
    """Why an event went to the dead letters. 0 means that it did not."""

    NONE = 0
    UNDECODABLE = 1
    SCHEMA_INVALID = 2
    BAD_VALUE = 3
    UNKNOWN_TYPE = 4
    TOO_LARGE = 5
    TOO_LATE = 6
    FROM_FUTURE = 7
    BOT = 8
    KEY_MISSING = 9
    KEY_MISMATCH = 10
    WRONG_PARTITION = 11
    HANDLER_ERROR = 12


class Flag(IntEnum):
    """Bits of EVENT.flags."""

    CONTROL_FORGET = 1
    SKEW_CORRECTED = 2
    SKEW_REFUSED = 4


class AlertState(IntEnum):
    """Where a user stands in the life of an alert."""

    NORMAL = 0
    FIRING = 1
    RESOLVED = 2
    CHURNED = 3


class Level(IntEnum):
    """How bad an alert is: at_risk from `churn_enter`, high_risk from `churn_high`."""

    NONE = 0
    AT_RISK = 1
    HIGH_RISK = 2


class Resolve(IntEnum):
    """Why an alert ended."""

    NONE = 0
    RETURNED = 1
    PURCHASED = 2
    LATE_ACTIVITY = 3
    FORGOTTEN = 4
    EXPIRED = 5


# One decoded input record, in offset order of its topic partition.
EVENT: Final = np.dtype(
    [
        ("offset", "<i8"),  # of the record in its topic partition
        ("timestamp_ms", "<i8"),  # the record's own time, wall clock
        ("time_ms", "<i8"),  # event time, corrected for skew; NEVER_MS when reason != 0
        ("event_id", "<u8"),  # xxh3-64 of the event id's UTF-8
        ("step_first", "<i4"),  # index of its first step in the batch's steps
        ("steps_count", "<i4"),  # 0 for a dead letter or a control event
        ("user", "<i4"),  # index into the batch's list of user keys; -1: no user
        ("channel", "<u4"),  # xxh3 low 32 bits of the text; 0: not given
        ("device", "<u4"),
        ("region", "<u4"),
        ("topic", "u1"),  # index into TOPICS
        ("event_type", "u1"),  # index into EVENT_TYPES
        ("reason", "u1"),  # Reason; 0: a good event
        ("flags", "u1"),  # Flag bits
    ]
)

# One step of a user's window: canonical values only, no vocabulary index, no model feature.
STEP: Final = np.dtype(
    [
        ("event_id", "<u8"),  # xxh3-64; several steps of one purchase share it
        ("item", "<u8"),  # xxh3-64 of the item id; 0: no item (a search)
        ("time_ms", "<i8"),  # event time
        ("source", "<i8"),  # offset * 4 + topic of the event that brought it
        ("price_cents", "<i4"),  # -1: not given
        ("category", "<u4"),  # xxh3 low 32 bits; 0: not given
        ("tokens", "<u2", (TOKENS_MAX,)),  # xxh3 low 16 bits of query tokens, 0: none
        ("quantity", "<u2"),  # 1 unless a purchase says otherwise
        ("event_type", "u1"),
        ("action", "u1"),  # index into ACTIONS
    ]
)

# One user, without the ring of steps. All 0 when new, except where said.
USER: Final = np.dtype(
    [
        ("epoch", "<i8"),  # partition_seq of the row that created it (from 1); 0: a free slot
        ("steps_count", "<i8"),  # n: steps accepted, ever
        ("user_seq", "<i8"),  # predictions made in this epoch
        ("seq_last", "<i8"),  # partition_seq of the last row applied
        ("time_last_ms", "<i8"),  # highest event time
        ("shop_last_ms", "<i8"),  # shop clock of the newest event: silence counts from here
        ("type_time_ms", "<i8", (3,)),  # highest event time per event type; NEVER_MS: none
        ("source_last", "<i8"),  # offset * 4 + topic of the last predicted event; -1: none
        ("counter_bucket", "<i4", (3,)),  # newest sub-bucket per counter window
        ("counters", "<u2", (COUNTER_CELLS,)),  # type-major, then window, then bucket % buckets
        ("revision", "<u4"),  # late insertions so far
        ("channel", "<u4"),
        ("device", "<u4"),
        ("region", "<u4"),
        ("next_event", "<f4", (3,)),  # last scores: probability per event type
        ("purchase", "<f4"),  # last purchase probability; -1: not scored yet
        ("hazard", "<f4", (HAZARD_BINS,)),  # activity hazard per bin of silence; -1: not scored
        ("churn", "<f4"),  # churn probability at the last event or check; -1: none
        ("next_check_ms", "<i8"),  # shop clock of the next check; ALWAYS_LATER_MS: none
        ("silence_start_ms", "<i8"),  # event time from which the episode's silence counts
        ("fired_ms", "<i8"),  # watermark when the alert fired
        ("fired_shop_ms", "<i8"),  # shop clock when it fired
        ("alert_sequence", "<u4"),  # transitions published in this epoch
        ("alert_state", "u1"),  # AlertState
        ("alert_level", "u1"),  # Level
        ("alert_reason", "u1"),  # Resolve
        ("ring_head", "u1"),  # index of the oldest step in the ring
        ("ring_len", "u1"),  # steps held
    ]
)

type_of: Final = {name: index for index, name in enumerate(EVENT_TYPES)}
topic_of: Final = {name: index for index, name in enumerate(TOPICS)}
action_of: Final = {name: index for index, name in enumerate(ACTIONS)}

Records = npt.NDArray[Any]  # a structured array of one of the dtypes above
Record = Any  # one element of such an array, by reference
Bytes = npt.NDArray[np.uint8]  # text, as a compiled loop reads and writes it


def copied(records: Records) -> Records:
    """Copy a contiguous structured array in one piece: its own `copy` goes record by record."""
    return records.view(np.uint8).copy().view(records.dtype)


def source_of(topic: int, offset: int) -> int:
    """Pack a topic's code and an offset into STEP.source."""
    return offset * 4 + topic
