"""The control record: strict, under its own key, and never a path."""

import json

import pytest

from stream.wire.control import ControlError, decode_control, encode_control
from stream.wire.types import ModelControl

GOOD = {"model": "main", "active": "demo-3f22c352adcb", "issued_at": 1, "issued_by": "ann@host"}


def test_there_and_back() -> None:
    record = ModelControl(
        model="main", active="a-1", previous="b-2", shadow="c-3", issued_at=5, issued_by="ann"
    )
    assert decode_control(*encode_control(record)) == record


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"active": None}, "active"),
        ({"active": "../../etc"}, "active"),
        ({"active": ".hidden"}, "active"),
        ({"shadow": "a/b"}, "shadow"),
        ({"previous": ""}, "previous"),
        ({"issued_at": "now"}, "issued_at"),
        ({"bundle": "/some/where"}, "unknown field"),
        ({"model": "other"}, "under the key"),
    ],
)
def test_what_does_not_fit_is_said(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ControlError, match=said):
        decode_control(b"main", json.dumps(GOOD | changed).encode())


@pytest.mark.parametrize("value", [b"", b"{", b"null", b"[]", b"\xff"])
def test_rubbish_is_said(value: bytes) -> None:
    with pytest.raises(ControlError):
        decode_control(b"main", value)


def test_what_nobody_could_read_is_not_written() -> None:
    with pytest.raises(ControlError, match="active"):
        encode_control(ModelControl(model="main", active="a b", issued_at=1, issued_by="ann"))
