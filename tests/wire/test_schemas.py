"""The files in docs/schemas are those of the types, and real messages keep to them."""

import json

import jsonschema
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

from stream.core.layout import Reason
from stream.core.plan import Scores
from stream.core.results import ALERT, ROW
from stream.wire import schemas, types
from stream.wire.outputs import dead_letter, encode_alerts, encode_receipts
from stream.wire.predictions import PredictionEncoder
from tests.wire import strategies
from tests.wire.samples import CLICK, FORGET, PURCHASE, SEARCH, changed, key_of, reason_of

TOPICS = ("clicks", "searches", "purchases")
FILES = {path.stem: json.loads(path.read_text()) for path in schemas.FOLDER.glob("*.json")}
CHECKS = {
    name: jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    for name, schema in FILES.items()
}
NAMES = {
    **dict.fromkeys(types.CLICK_NAMES, "click"),
    **dict.fromkeys(types.SEARCH_NAMES, "search"),
    **dict.fromkeys(types.PURCHASE_NAMES, "purchase"),
    types.FORGET_NAME: "user-forget",
}


def test_every_message_has_its_file():
    assert FILES.keys() == {*types.EVENTS, *types.OUTPUTS}
    for schema in FILES.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_files_are_those_of_the_types(capsys):
    assert schemas.main(["--check"]) == 0, capsys.readouterr().out


def test_check_goes_red_when_a_type_changes(monkeypatch, tmp_path, capsys):
    assert schemas.main(["--folder", str(tmp_path)]) == 0
    assert schemas.main(["--check", "--folder", str(tmp_path)]) == 0
    fields = [("event_id", str), ("event_type", str), ("event_time", str)]
    changed_type = msgspec.defstruct("Click", fields, namespace={"__doc__": "Other."})
    monkeypatch.setitem(types.EVENTS, "click", changed_type)
    assert schemas.main(["--check", "--folder", str(tmp_path)]) == 1
    assert "click.json: differs from the types" in capsys.readouterr().out
    monkeypatch.undo()
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "click.json").unlink()
    assert schemas.differences(tmp_path) == ["click.json: missing", "old.json: of no message"]


@pytest.mark.parametrize("event", [CLICK, SEARCH, PURCHASE, FORGET])
def test_good_events(event):
    CHECKS[NAMES[event["event_type"]]].validate(event)


@pytest.mark.parametrize(
    "event",
    [
        changed(event_id=""), changed(user_id=...), changed(user_id=""), changed(item_id=...),
        changed(price=-1), changed(price="1e5"), changed(event_time=5), changed(event_time="now"),
        changed(action="stare"), changed(2, items=[]), changed(1, query=...),
        changed(2, items=[{"item_id": "a", "quantity": 0}]), changed(2, items=[{}]),
        changed(event_type="login"),
    ],
)  # fmt: skip
def test_bad_events(event):
    name = "click" if event["event_type"] == "login" else NAMES[event["event_type"]]
    assert not CHECKS[name].is_valid(event)


@settings(max_examples=150, deadline=None)
@given(strategies.events())
def test_what_is_accepted_keeps_to_the_schema(event):
    try:
        key = key_of(event)
    except (KeyError, TypeError, AttributeError):
        key = b"x"
    for topic in range(3):
        if reason_of(event, topic, key=key) == Reason.NONE:
            CHECKS[NAMES[event["event_type"]]].validate(event)


def test_real_outputs():
    rows = np.zeros(4, ROW)
    rows["scored"], rows["supersedes"], rows["window_len"] = [0, 1, 1, 0], [-1, 9, -1, 5], 1
    rows["offset"], rows["outcome"], rows["late"] = range(4), [0, 1, 2, 0], [0, 1, 0, 1]
    scores = Scores(
        np.full((2, 3), 1 / 3, np.float32), np.full(2, 0.25, np.float32),
        np.full((2, 8), 0.5, np.float32), np.array([[1, 2], [2, 0]], np.int32),
        np.array([[3.5, -2.25], [1, -np.inf]], np.float32), np.array([True, False]),
    )  # fmt: skip
    encoder = PredictionEncoder(TOPICS, [b"null", b'"i-1"', b'"i-2"'], "m", "cpu", ("P7D", "P7D"))
    churn = np.array([-1, 0.5], np.float32)
    for value in encoder.encode(0, rows, [b"ann"], scores, churn, 1):
        CHECKS["prediction"].validate(json.loads(value))
    for message in encode_receipts(TOPICS, 0, 0, 0, 9, rows):
        CHECKS["intake-receipt"].validate(json.loads(message.value))
    for state, reason, level, chance in (
        (1, 0, 1, 0.7),
        (2, 1, 1, 0.1),
        (2, 5, 2, -1),
        (3, 0, 2, 1),
    ):
        alert = np.zeros(1, ALERT)
        alert["state"], alert["reason"], alert["level"], alert["churn"] = (
            state,
            reason,
            level,
            chance,
        )
        for message in encode_alerts(alert, [b"ann"], "m", "P7D"):
            CHECKS["churn-alert"].validate(json.loads(message.value))
    for reason in list(Reason)[1:]:
        letter = dead_letter("clicks", 0, 3, reason, "", None, b"x", 10)
        headers = {name: text.decode() for name, text in letter.headers}
        CHECKS["dead-letter-headers"].validate(headers)


@pytest.mark.parametrize("name", ["prediction", "churn-alert", "intake-receipt"])
def test_outputs_allow_no_other_field(name):
    assert any(
        "Additional properties" in error.message
        for error in CHECKS[name].iter_errors({"surprise": 1})
    )
