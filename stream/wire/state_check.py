"""What the changelog must say before it becomes state: values that the engine can work with.

Rules of the room: the kernels trust the state, so nothing may come in that would let them read or
write outside of an array, loop for ever, or tell a number that is none. Whether a value is true
cannot be seen here.
"""

from typing import TYPE_CHECKING, Final

from stream.core.compiled import compiled
from stream.core.layout import (
    ACTIONS,
    EVENT_TYPES,
    HAZARD_BINS,
    TOPICS,
    AlertState,
    Level,
    Record,
    Records,
    Resolve,
)
from stream.core.state import WITNESSES
from stream.wire.limits import EXACT_MS_MAX, KEY_BYTES_MAX

if TYPE_CHECKING:
    from stream.wire.state import Header

HASH_BYTES: Final = 16  # of a forgotten user
TIME_BYTES: Final = 8
SCORE_MAX: Final = 2.0  # a probability, or -1; rounding may take it past 1
NUMBER_MAX: Final = 2**62  # offsets, and NEVER_MS to ALWAYS_LATER_MS
GROWING_MAX: Final = 2**61  # what goes up with events: however many come, it stays a number

# What `wrong_field` may find; the index is what it returns, 0: nothing.
FIELDS: Final = (
    "nothing", "epoch", "seq_last", "steps_count", "user_seq", "ring_head", "ring_len",
    "alert_state", "alert_level", "alert_reason", "a time", "source_last", "next_event",
    "purchase", "hazard", "churn", "a step's event_type", "a step's action", "a step's time_ms",
    "a step's source",
)  # fmt: skip
_STATE_MAX: Final = int(max(AlertState))
_LEVEL_MAX: Final = int(max(Level))
_REASON_MAX: Final = int(max(Resolve))
_TYPES: Final = len(EVENT_TYPES)
_TOPICS: Final = len(TOPICS)
_ACTIONS: Final = len(ACTIONS)


class StateError(ValueError):
    """The changelog holds what this version cannot read. The message says what and where."""


@compiled
def _is_source(source: int) -> bool:
    """Tell an offset times four and a topic's code from other numbers."""
    return 0 <= source <= NUMBER_MAX and source % 4 < _TOPICS


@compiled
def wrong_field(user: Record, ring: Records) -> int:
    """Index into FIELDS of what cannot be; `ring` (W,) holds the steps from its front. 0.1 us."""
    if user.epoch < 1 or user.epoch > NUMBER_MAX:
        return 1
    if user.seq_last < user.epoch or user.seq_last > GROWING_MAX:
        return 2
    if user.steps_count < 1 or user.steps_count > GROWING_MAX:
        return 3
    if user.user_seq < 0 or user.user_seq > GROWING_MAX:
        return 4
    if user.ring_head != 0:
        return 5
    if user.ring_len < 1:
        return 6
    if user.alert_state > _STATE_MAX:
        return 7
    if user.alert_level > _LEVEL_MAX:
        return 8
    if user.alert_reason > _REASON_MAX:
        return 9
    if user.time_last_ms < 0 or user.time_last_ms > EXACT_MS_MAX:
        return 10
    for shop_ms in (user.shop_last_ms, user.fired_shop_ms):
        if shop_ms < -GROWING_MAX or shop_ms > GROWING_MAX:  # not by abs: of -2**63 it is itself
            return 10
    for time_ms in (
        user.type_time_ms[0], user.type_time_ms[1], user.type_time_ms[2],
        user.next_check_ms, user.silence_start_ms, user.fired_ms,
    ):  # fmt: skip
        if time_ms < -NUMBER_MAX or time_ms > NUMBER_MAX:
            return 10
    if not _is_source(user.source_last):  # of an event there was
        return 11
    for index in range(_TYPES):
        if not -SCORE_MAX <= user.next_event[index] <= SCORE_MAX:
            return 12
    if not -SCORE_MAX <= user.purchase <= SCORE_MAX:
        return 13
    for index in range(HAZARD_BINS):
        if not -SCORE_MAX <= user.hazard[index] <= SCORE_MAX:
            return 14
    if not -SCORE_MAX <= user.churn <= SCORE_MAX:
        return 15
    before_ms = 0
    for index in range(int(user.ring_len)):
        step = ring[index]
        if step.event_type >= _TYPES:
            return 16
        if step.action >= _ACTIONS:
            return 17
        if step.time_ms < before_ms or step.time_ms > EXACT_MS_MAX:
            return 18
        if not _is_source(step.source):
            return 19
        before_ms = step.time_ms
    return 0


def check_key(key: bytes) -> None:
    """Check a user's key. Raises StateError."""
    try:
        key.decode()
    except UnicodeDecodeError as error:
        raise StateError(f"key of a user, of {len(key)} bytes, is no UTF-8") from error
    if not 0 < len(key) <= KEY_BYTES_MAX:
        raise StateError(f"key of a user of {len(key)} bytes")


def check_forgotten(name: bytes, value: bytes | None) -> None:
    """Check the record of a forgotten user. Raises StateError."""
    if len(name) != HASH_BYTES or (value is not None and len(value) != TIME_BYTES):
        raise StateError(
            f"record of a forgotten user with a hash of {len(name)} bytes"
            f" and a time of {0 if value is None else len(value)}"
        )


def check_header(header: "Header") -> None:
    """Check the numbers of a header. Raises StateError."""
    whole = {
        "partition_seq": header.partition_seq, "jumps_held": header.jumps_held,
        "shop_ms": header.shop_ms, "bucket": header.bucket,
        "the end of its bucket": (header.bucket + 1) * max(1, header.bucket_ms),
        **header.offset_next, **header.outcomes,
    }  # fmt: skip
    for name, number in whole.items():
        if not 0 <= number <= GROWING_MAX:
            raise StateError(f"header with {name:.40}={number}")
    for number in (header.watermark_ms, *header.witness_epoch, *header.witness_ms):
        if abs(number) > NUMBER_MAX:
            raise StateError(f"header with a time or a witness {number}")
    count = len(header.witness_epoch)
    if header.bucket_ms < 1 or len(header.witness_ms) != count or count >= WITNESSES:
        raise StateError(f"header with bucket_ms={header.bucket_ms} and {count} witnesses")
