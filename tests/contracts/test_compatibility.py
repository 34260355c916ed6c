"""Today's contracts against those of the last release; each rule is shown a bad sample.

baseline/ is what the last release promised: written anew at a release and at no other time
(CONTRIBUTING.md, A release).
"""

import copy
import json
from pathlib import Path

import pytest

from deploy import asyncapi
from stream.wire.schemas import schema_of
from stream.wire.types import EVENTS, OUTPUTS
from tests.contracts.compatibility import event_breaks, output_breaks, topic_breaks

BASELINE = Path(__file__).parent / "baseline"


def promised(name):
    return json.loads((BASELINE / f"{name}.json").read_text())


def test_every_promised_message_is_still_there():
    names = {path.stem for path in BASELINE.glob("*.json")} - {"asyncapi"}
    assert names
    assert names <= {*EVENTS, *OUTPUTS}


@pytest.mark.parametrize("name", [n for n in EVENTS if (BASELINE / f"{n}.json").exists()])
def test_events_that_were_accepted_are(name):
    assert event_breaks(promised(name), schema_of(name)) == []


@pytest.mark.parametrize("name", [n for n in OUTPUTS if (BASELINE / f"{n}.json").exists()])
def test_readers_find_what_they_found(name):
    assert output_breaks(promised(name), schema_of(name)) == []


def test_topics_are_what_they_were():
    assert topic_breaks(promised("asyncapi"), asyncapi.document()) == []


def click(**changes):
    """The schema of a click with some of its fields changed; ... takes one away."""
    return with_fields("click", "Click", changes)


def prediction(**changes):
    return with_fields("prediction", "Prediction", changes)


def with_fields(name, definition, changes):
    schema = copy.deepcopy(promised(name))
    fields = schema["$defs"][definition]["properties"]
    for field, node in changes.items():
        if node is ...:
            del fields[field]
            if field in schema["$defs"][definition]["required"]:
                schema["$defs"][definition]["required"].remove(field)
        else:
            fields[field] = node
    return schema


def requiring(schema, definition, *names):
    schema["$defs"][definition]["required"] += names
    return schema


def changed(schema, definition, **keywords):
    schema["$defs"][definition] |= keywords
    return schema


TEXT = {"type": "string"}
OLD_ID = {"type": "string", "minLength": 1, "maxLength": 512}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (requiring(click(shop=TEXT), "Click", "shop"), "shop: new and required"),
        (requiring(click(), "Click", "device"), "device: now required"),
        (click(price=...), "price: removed"),
        (click(price={"type": "number"}), "price: no longer null"),
        (click(action={"enum": ["view", "click", None]}), "action: fewer values"),
        (click(device={"enum": ["mobile", None]}), "device: fewer values"),
        (click(event_id=OLD_ID | {"maxLength": 36}), "event_id: maxLength 512 -> 36"),
        (click(event_id=OLD_ID | {"minLength": 8}), "event_id: minLength 1 -> 8"),
        (click(event_id=OLD_ID | {"pattern": "^[0-9]+$"}), "event_id: pattern None"),
        (changed(click(), "Click", allOf=[{"required": ["user_id"]}]), ": a new condition"),
        (changed(click(), "Click", additionalProperties=False), ": other fields no longer"),
    ],
)
def test_what_breaks_a_publisher_is_said(now, said):
    broken = event_breaks(promised("click"), now)
    assert any(line.startswith(said) for line in broken), broken


@pytest.mark.parametrize(
    "now",
    [
        click(shop={"anyOf": [TEXT, {"type": "null"}]}),
        click(event_id=OLD_ID | {"maxLength": 1000}),
        click(event_id={"anyOf": [OLD_ID, {"type": "integer"}]}),
        click(is_bot={"anyOf": [{"type": "boolean"}, {"type": "null"}, {"type": "string"}]}),
    ],
)
def test_events_may_gain_optional_fields_and_accept_more(now):
    assert event_breaks(promised("click"), now) == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (prediction(late=...), "late: removed"),
        (prediction(next_event=TEXT), "next_event.click: removed"),
        (prediction(late={"enum": [0, 1]}), "late: ['boolean'] -> ['integer']"),
        (prediction(late={"anyOf": [{"type": "boolean"}, {"type": "null"}]}), "late: ['boolean']"),
        (prediction(churn_status={"enum": ["scored"]}), "churn_status: fewer values"),
        (prediction(provider={"enum": ["cpu"]}), "provider: fewer values"),
        (prediction(as_of={"type": "integer", "minimum": 5}), "as_of: {} -> {'minimum': 5}"),
        (changed(prediction(), "ItemScore", required=["item_id"]), "items[].rank: no longer alw"),
    ],
)
def test_what_breaks_a_reader_is_said(now, said):
    broken = output_breaks(promised("prediction"), now)
    assert any(line.startswith(said) for line in broken), broken


@pytest.mark.parametrize(
    "now",
    [
        requiring(prediction(shop=TEXT), "Prediction", "shop"),
        prediction(shop=TEXT),
        prediction(churn_status={"enum": ["scored", "insufficient_history", "held"]}),
    ],
)
def test_outputs_may_gain_fields_and_values(now):
    assert output_breaks(promised("prediction"), now) == []


def set_in(document, value, *steps):
    node = document
    for step in steps[:-1]:
        node = node[step]
    if value is ...:
        del node[steps[-1]]
    else:
        node[steps[-1]] = value


KAFKA = ("bindings", "kafka")


@pytest.mark.parametrize(
    ("value", "steps", "said"),
    [
        (..., ("channels", "predictions"), "predictions: removed"),
        (..., ("channels", "clicks", "messages", "user-forget"), "clicks: user-forget removed"),
        ("any", ("channels", "clicks", *KAFKA, "x-partition"), "clicks: partition rule"),
        (
            ["compact"],
            ("channels", "clicks", *KAFKA, "topicConfiguration", "cleanup.policy"),
            "clicks: cleanup.policy",
        ),
        (
            1000,
            ("channels", "clicks", *KAFKA, "topicConfiguration", "retention.ms"),
            "clicks: kept for less long",
        ),
        (TEXT, ("components", "messages", "click", *KAFKA, "key"), "click: key"),
    ],
)
def test_what_breaks_whoever_uses_a_topic_is_said(value, steps, said):
    now = copy.deepcopy(promised("asyncapi"))
    set_in(now, value, *steps)
    assert topic_breaks(promised("asyncapi"), now) == [said]


def test_a_keyword_that_no_rule_knows_is_refused():
    with pytest.raises(ValueError, match=r"late: no rule knows \['not'\]"):
        output_breaks(promised("prediction"), prediction(late={"not": {"type": "string"}}))
