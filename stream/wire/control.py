"""The record of the control topic: bytes to ModelControl, strictly, and back.

Rules of the room: whoever may write the topic may choose the model, so a record names versions,
never paths, and a version is a plain folder name.
"""

import msgspec

from stream.wire.types import ModelControl


class ControlError(ValueError):
    """A control record cannot be used. The message is one line and says why."""


def decode_control(key: bytes | None, value: bytes) -> ModelControl:
    """Decode a record. Raises ControlError."""
    try:
        record = msgspec.json.decode(value, type=ModelControl)
    except msgspec.DecodeError as error:
        raise ControlError(str(error)) from error
    if record.model.encode() != key:
        raise ControlError(f"model {record.model!r} under the key {key!r}")
    return record


def encode_control(record: ModelControl) -> tuple[bytes, bytes]:
    """Encode a record: key and value. Raises ControlError where nobody could read it."""
    key, value = record.model.encode(), msgspec.json.encode(record)
    decode_control(key, value)
    return key, value
