"""The scan of an object: valid JSON or "not plain", and every value in its place."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.wire.json_scan import (
    ABSENT,
    AT_LIST,
    DECIMAL,
    DEPTH_MAX,
    DONE,
    FALSE,
    FIELDS,
    INT,
    NOT_PLAIN,
    NULL,
    TEXT,
    TRUE,
    scan_members,
)  # fmt: skip

WANTED = np.array([name != "channel" for name in FIELDS], np.uint8)


def scan(text: str | bytes) -> tuple[int, dict[str, tuple[int, int, int]]]:
    """Scan an object; give the status (NOT_PLAIN too when bytes are left) and the cells."""
    data = np.frombuffer(text if isinstance(text, bytes) else text.encode(), np.uint8)
    found, place = np.zeros((len(FIELDS), 3), np.int64), np.zeros(1, np.int64)
    following = np.full(len(FIELDS) + 1, -1, np.int8)
    if len(data) == 0 or data[0] != ord("{"):
        return NOT_PLAIN, {}
    status = scan_members(data, 1, len(data), WANTED, found, following, place, False)
    if status == DONE and place[0] != len(data):
        status = NOT_PLAIN
    return status, {
        name: tuple(found[index].tolist())
        for index, name in enumerate(FIELDS)
        if found[index, 0] != ABSENT
    }


def test_values_in_their_places():
    text = (
        '{ "event_id":"\u00e9x" ,"is_bot":true, "price":12.50,"quantity":-7,"user_id":null,'
        '"channel":"skipped","more":{"a":[1,{"b":"}]"},[]],"c":{}},"region":""}'
    )
    status, cells = scan(text)
    assert status == DONE
    assert cells == {
        "event_id": (TEXT, text.encode().index("\u00e9".encode()), 3),
        "is_bot": (TRUE, 0, 0),
        "price": (DECIMAL, 1250, 2),
        "quantity": (INT, -7, 0),
        "user_id": (NULL, 0, 0),
        "region": (TEXT, len(text.encode()) - 2, 0),
    }


def test_a_list_of_items_is_left_to_the_caller():
    assert scan('{"items":[{}],"order_id":"o"}')[0] == AT_LIST


@pytest.mark.parametrize("text", [
    "{", "{}x", '{"a"}', '{"a":}', '{"a":1,}', '{,"a":1}', '{"a":1 "b":2}', '{"a":01}', '{"a":1.}',
    '{"a":.5}', '{"a":-}', '{"a":+1}', '{"a":1e5}', '{"a":nul}', '{"a":True}', '{"a":"\\n"}',
    '{"a":"\x01"}', '{"a":[1,]}', '{"a":[1}', '{"a":{"b":1]}', '{"a":{"b"}}', '{"a":[,1]}',
    '{"a":{,}}', '{"a":[1 2]}', '{"event_id":"x","event_id":"y"}', '{"event_id":{}}',
    '{"a":1234567890123456}', '{"a":-0}', "{'a':1}", '{"a":"b}',
])  # fmt: skip
def test_not_plain(text):
    assert scan(text)[0] == NOT_PLAIN


@pytest.mark.parametrize("data", [
    b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xc3", b"\xe2\x82", b"\xe2\x82x", b"\xff",
])  # fmt: skip
def test_no_utf8_is_not_plain(data):
    assert scan(b'{"a":"' + data + b'"}')[0] == NOT_PLAIN


@pytest.mark.parametrize(("depth", "status"), [(DEPTH_MAX, DONE), (DEPTH_MAX + 1, NOT_PLAIN)])
def test_depth(depth, status):
    assert scan('{"a":' + "[" * depth + "]" * depth + "}")[0] == status
    nested = '{"b":' * depth + "0" + "}" * depth
    assert scan('{"a":' + nested + "}")[0] == status


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**16), 10**16), st.floats(), st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
names = st.one_of(st.sampled_from(FIELDS), st.text(max_size=6))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(names, values, max_size=6), st.booleans(), st.sampled_from([None, 1]),
    st.data(),
)  # fmt: skip
def test_what_is_done_is_json(event, ascii_only, indent, data):
    """What the scan takes, the standard library takes as well, whatever byte is changed."""
    text = bytearray(
        json.dumps(event, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace")
    )
    if data.draw(st.booleans()):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    status, cells = scan(bytes(text))
    if status != DONE:
        return
    parsed = json.loads(bytes(text).decode())
    for name, (kind, one, two) in cells.items():
        value = parsed[name]
        if kind == TEXT:
            assert bytes(text[one : one + two]).decode() == value
        elif kind in (INT, DECIMAL):
            assert one / 10**two == value
        else:
            assert {NULL: None, TRUE: True, FALSE: False}[kind] is value
