"""The audit's own few lines to read receipts, predictions, dead letters and event ids.

Raises ValueError, with what was wrong, on anything that is not as CONTRACTS.md says.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

OUTCOMES: Final = (
    "predicted",
    "duplicate",
    "dead_lettered",
    "control",
    "forgotten",
    "coalesced",
    "in_flight",
)
PREDICTED, DUPLICATE, DEAD_LETTERED, CONTROL, FORGOTTEN, COALESCED, IN_FLIGHT = range(7)

_SEQ_END: Final = 2**63
Place = tuple[str, int]  # topic, partition


class Exempt(NamedTuple):
    """One entry of a receipt's exceptions."""

    offset: int
    outcome: int  # index into OUTCOMES
    first_topic: str  # of a duplicate
    first_offset: int  # of a duplicate; else -1
    seq: int  # its partition_seq


class Receipt(NamedTuple):
    """What one commit says of one topic partition."""

    place: Place
    offset_first: int
    offset_next: int
    predicted: int
    exempt: tuple[Exempt, ...]


class Prediction(NamedTuple):
    """What the audit needs of a prediction. Hashes are of this process only."""

    place: Place  # of the input
    offset: int  # of the input
    user: int  # hash of the user's key
    user_seq: int
    user_epoch: int
    partition_seq: int


def read_receipt(value: bytes | None) -> Receipt:
    """Read a receipt. Raises ValueError."""
    note = _object(value)
    topic = _text(note, "topic")
    exempt = []
    entries, seqs = _field(note, "exceptions", list), _field(note, "exception_seqs", list)
    if len(entries) != len(seqs):
        raise ValueError(f"{len(entries)} exceptions with {len(seqs)} exception_seqs")
    for entry, seq in zip(entries, seqs, strict=True):
        if not isinstance(seq, int) or not 0 <= seq < _SEQ_END:
            raise ValueError(f"exception_seqs holds {seq!r}, no partition_seq")
        if not isinstance(entry, list) or len(entry) < 2 or entry[1] not in OUTCOMES[1:6]:
            raise ValueError(f"exception {entry!r} is not [offset, outcome, ...]")
        first_offset, first_topic = -1, ""
        if entry[1] == "duplicate":
            if len(entry) < 3 or not isinstance(entry[2], int):
                raise ValueError(f"duplicate {entry!r} does not name its first offset")
            first_offset = entry[2]
            first_topic = entry[3] if len(entry) > 3 else topic
        exempt.append(
            Exempt(int(entry[0]), OUTCOMES.index(entry[1]), first_topic, first_offset, int(seq))
        )
    receipt = Receipt(
        (topic, _int(note, "partition")),
        _int(note, "offset_first"),
        _int(note, "offset_next"),
        _int(note, "predicted"),
        tuple(exempt),
    )
    if receipt.offset_next < receipt.offset_first:
        raise ValueError(f"receipt runs backwards: {receipt.offset_first} to {receipt.offset_next}")
    return receipt


def read_prediction(value: bytes | None) -> Prediction:
    """Read a prediction. Raises ValueError."""
    note = _object(value)
    source = _field(note, "input", dict)
    place = (_text(source, "topic"), _int(source, "partition"))
    offset = _int(source, "offset")
    wanted = f"{place[0]}-{place[1]}-{offset}"
    if note.get("prediction_id") != wanted:
        raise ValueError(f"prediction_id {note.get('prediction_id')!r} is not {wanted!r}")
    return Prediction(
        place,
        offset,
        hash(_text(note, "user_id").encode()),
        _int(note, "user_seq"),
        _int(note, "user_epoch"),
        _int(note, "partition_seq"),
    )


def read_dead_letter(headers: Sequence[tuple[str, bytes]]) -> tuple[Place, int]:
    """Read where a dead letter came from: topic partition and offset. Raises ValueError."""
    found = dict(headers)
    try:
        topic = found["topic"].decode()
        return (topic, int(found["partition"])), int(found["offset"])
    except KeyError as error:
        raise ValueError(f"no header {error}") from error


def read_event_id(value: bytes | None) -> int:
    """Hash an event's id; 0 if it has none that can be read."""
    try:
        return hash(str(_object(value)["event_id"]))
    except (ValueError, KeyError):
        return 0


def _object(value: bytes | None) -> dict[str, Any]:
    note = json.loads(value or b"")
    if not isinstance(note, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004
    return note


def _field(note: dict[str, Any], name: str, kind: type) -> Any:
    found = note.get(name)
    if not isinstance(found, kind) or isinstance(found, bool):
        raise ValueError(f"{name} is {found!r}, no {kind.__name__}")  # noqa: TRY004
    return found


def _int(note: dict[str, Any], name: str) -> int:
    return int(_field(note, name, int))


def _text(note: dict[str, Any], name: str) -> str:
    return str(_field(note, name, str))
