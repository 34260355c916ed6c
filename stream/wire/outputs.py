"""Alerts, receipts and dead letters: arrays to the key, value and headers of output records.

Rules of the room: pure; these are few, so they are built as the types of stream.wire.types and
encoded by msgspec (receipts' exceptions may be many: a list per row, 0.5 us). Predictions have a
room of their own, stream.wire.predictions. Topic names are those on the broker, with the prefix.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import xxhash

from stream.core.layout import AlertState, Level, Outcome, Reason, Records, Resolve
from stream.wire.types import ChurnAlert, IntakeReceipt

RECEIPT_EXCEPTIONS_MAX: Final = 3000  # a receipt with more is cut: each stays below 1 MB

_encode = msgspec.json.Encoder().encode

# Messages of the reasons that the engine finds; the decoder's rows bring one of their own.
REASON_MESSAGES: Final = {
    Reason.TOO_LATE: "older than the oldest step of the user's full window",
    Reason.FROM_FUTURE: "event time is further ahead of the record's own than future_ms_max",
    Reason.HANDLER_ERROR: "the engine failed on this record twice",
}


def _names(codes: type[AlertState | Level | Resolve | Outcome]) -> dict[int, Any]:
    return {int(code): code.name.lower() for code in codes}


_STATES: Final = _names(AlertState)
_LEVELS: Final = _names(Level)
_REASONS: Final = _names(Resolve)
_OUTCOMES: Final = _names(Outcome)
_PREDICTED: Final = int(Outcome.PREDICTED)
_DUPLICATE: Final = int(Outcome.DUPLICATE)
_ENDED: Final = frozenset({int(AlertState.RESOLVED), int(AlertState.CHURNED)})


class Message(NamedTuple):
    """A record to produce, without headers."""

    key: bytes
    value: bytes


class DeadLetter(NamedTuple):
    """A record for `dead-letters`."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def duration_text(duration_ms: int) -> str:
    """Write an ISO 8601 duration: days where it is whole days, else hours, minutes or seconds."""
    if duration_ms > 0 and duration_ms % 86_400_000 == 0:
        return f"P{duration_ms // 86_400_000}D"
    for unit, size_ms in (("H", 3_600_000), ("M", 60_000)):
        if duration_ms > 0 and duration_ms % size_ms == 0:
            return f"PT{duration_ms // size_ms}{unit}"
    return f"PT{duration_ms / 1000:g}S"


def episode_id(user: bytes, silence_start_ms: int) -> str:
    """Name a silence: xxh3-128 of the start (i64 little-endian) and the user's key."""
    return xxhash.xxh3_128_hexdigest(silence_start_ms.to_bytes(8, "little", signed=True) + user)


def alert_id(episode: str, level: int) -> str:
    """Name an alert: xxh3-128 of the episode's id, a colon and the level's name."""
    return xxhash.xxh3_128_hexdigest(f"{episode}:{_LEVELS[level]}".encode())


def encode_alerts(
    alerts: Records, keys: Sequence[bytes], model_version: str, horizon: str
) -> list[Message]:
    """Encode ALERT rows, in their order; `keys` are Settled.alert_keys. 3 us each."""
    messages = []
    for (
        _, user_epoch, at_ms, silence_start_ms, fired_ms, silence_ms, churn, sequence,
        place, state, previous_state, level, reason, by_sweep,
    ) in alerts.tolist():  # fmt: skip
        key = keys[place]
        episode = episode_id(key, silence_start_ms)
        alert = ChurnAlert(
            alert_id=alert_id(episode, level),
            episode_id=episode,
            user_id=key.decode(),
            user_epoch=user_epoch,
            state=_STATES[state],
            previous_state=_STATES[previous_state],
            level=_LEVELS[level],
            churn_probability=round(churn, 6) if churn >= 0 else None,
            horizon=horizon,
            starts_at=silence_start_ms,
            fired_at=fired_ms,
            ends_at=at_ms if state in _ENDED else None,
            reason=None if reason == Resolve.NONE else _REASONS[reason],
            trigger="clock" if by_sweep else "event",
            silence_seconds=silence_ms / 1000,
            model_version=model_version,
            sequence_no=sequence,
        )
        messages.append(Message(key, _encode(alert)))
    return messages


def encode_receipts(
    topic_names: Sequence[str],
    topic: int,
    partition: int,
    offset_first: int,
    offset_next: int,
    rows: Records,
) -> list[Message]:
    """Encode what became of one topic partition since the last commit, in offset order.

    `rows` are the ROWs of this topic alone, in offset order. One receipt; more, which tile the
    offsets, where exceptions are more than RECEIPT_EXCEPTIONS_MAX. Raises ValueError when a row
    lies outside or the order is wrong.
    """
    offsets = rows["offset"]
    if len(rows) and not (
        offset_first <= offsets[0]
        and offsets[-1] < offset_next
        and (offsets[1:] > offsets[:-1]).all()
        and (rows["topic"] == topic).all()
    ):
        raise ValueError(
            f"receipt of {topic_names[topic]}[{partition}] {offset_first} to {offset_next - 1}:"
            f" rows {offsets[0]} to {offsets[-1]} do not belong to it in this order"
        )
    odd = np.flatnonzero(rows["outcome"] != _PREDICTED)
    cuts = [offset_first]
    cuts += offsets[odd[RECEIPT_EXCEPTIONS_MAX::RECEIPT_EXCEPTIONS_MAX]].tolist()
    cuts.append(offset_next)
    key = f"{topic_names[topic]}-{partition}".encode()
    messages = []
    for place in range(len(cuts) - 1):
        first, after = cuts[place], cuts[place + 1]
        some = odd[place * RECEIPT_EXCEPTIONS_MAX : (place + 1) * RECEIPT_EXCEPTIONS_MAX]
        count = int(np.searchsorted(offsets, after) - np.searchsorted(offsets, first))
        receipt = IntakeReceipt(
            topic=topic_names[topic],
            partition=partition,
            offset_first=first,
            offset_next=after,
            predicted=count - len(some),
            exceptions=_exceptions(topic_names, topic, rows[some]),
            exception_seqs=rows["partition_seq"][some].tolist(),
        )
        messages.append(Message(key, _encode(receipt)))
    return messages


def _exceptions(topic_names: Sequence[str], topic: int, rows: Records) -> list[list[int | str]]:
    entries: list[list[int | str]] = []
    columns = (rows["offset"].tolist(), rows["outcome"].tolist(), rows["source_first"].tolist())
    for offset, outcome, source in zip(*columns, strict=True):
        entry: list[int | str] = [offset, _OUTCOMES[outcome]]
        if outcome == _DUPLICATE:
            entry.append(source >> 2)
            if source & 3 != topic:
                entry.append(topic_names[source & 3])
        entries.append(entry)
    return entries


def dead_letter(
    topic_name: str,
    partition: int,
    offset: int,
    reason: int,
    message: str,
    key: bytes | None,
    value: bytes | None,
    value_bytes_max: int,
) -> DeadLetter:
    """Wrap an original. Cut beyond `value_bytes_max`; length and sha256 are of the whole.

    A record without value stays one, with length 0. An empty message becomes that of the reason.
    """
    why = Reason(reason)
    original = value or b""
    truncated = len(original) > value_bytes_max
    headers = [
        ("reason", why.name.lower()),
        ("message", message or REASON_MESSAGES.get(why, why.name.lower())),
        ("topic", topic_name),
        ("partition", str(partition)),
        ("offset", str(offset)),
        ("length", str(len(original))),
        ("sha256", hashlib.sha256(original).hexdigest()),
        ("truncated", "true" if truncated else "false"),
    ]
    cut = original[:value_bytes_max] if truncated else value
    return DeadLetter(key, cut, [(name, text.encode()) for name, text in headers])
