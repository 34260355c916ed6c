"""`python -m deploy.asyncapi`: docs/asyncapi.json, an AsyncAPI 3.0 document; --check compares.

Rules of the room: nothing is decided here. Channels are the topics' table, messages the types of
stream.wire.types by their files in docs/schemas, operations the rights of each role, numbers the
defaults of the settings. Only which message lies in which topic stands here.
"""

import argparse
import inspect
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from deploy.written import bring_up_to_date
from stream.settings import Settings
from stream.wire.rights import ROLES, rights_of
from stream.wire.topics import (
    ALERTS,
    CONTROL,
    DEAD_LETTERS,
    ERASURES,
    INPUTS,
    PREDICTIONS,
    RECEIPTS,
    STATE,
    TABLE,
    Topic,
)
from stream.wire.types import EVENTS, OUTPUTS

FILE: Final = Path(__file__).parents[1] / "docs" / "asyncapi.json"
BINDING: Final = {"bindingVersion": "0.5.0"}
DIALECT: Final = "application/schema+json;version=draft-2020-12"

LIES_IN: Final = {
    "clicks": ("click", "user-forget"),
    "searches": ("search", "user-forget"),
    "purchases": ("purchase", "user-forget"),
    PREDICTIONS: ("prediction",),
    ALERTS: ("churn-alert",),
    DEAD_LETTERS: ("dead-letter",),
    RECEIPTS: ("intake-receipt",),
    STATE: ("user-state",),
    ERASURES: ("erasure-receipt",),
    CONTROL: ("model-control",),
}
# Two messages are no JSON object of a type.
BYTES: Final = {
    "dead-letter": "The original key and value, whatever they are; the rest is in the headers.",
    "user-state": "A row of the workers' own, of a versioned layout. Not for readers: it changes.",
}
PARTITION: Final = {
    "shop": "murmur2(key) mod partitions, as Java's and aiokafka's clients do; librdkafka needs"
    " partitioner=murmur2_random. Any other place is a dead letter.",
    "worker": "The number of the input's partition, whatever the key.",
    "operator": "As the client chooses by the key; readers read all.",
}
ACTIONS: Final = {"Read": "receive", "Write": "send"}


def document() -> dict[str, Any]:
    """Build the document."""
    given = Settings()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Forecart",
            "version": version("forecart"),
            "description": "Events of a shop in; predictions, churn alerts and what became of each"
            " event out. Operations are of the role in their tag, docs/contracts.md is the page for"
            " readers. Names of topics take the setting topic_prefix; partitions and replicas are"
            " the settings' defaults and the same for all topics.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{broker}",
                "protocol": "kafka",
                "description": "With TLS or SASL: docs/security.md.",
                "variables": {"broker": {"default": "localhost:9092"}},
                "bindings": {"kafka": BINDING},
            }
        },
        "channels": {topic.name: _channel(topic, given) for topic in TABLE},
        "operations": _operations(given),
        "components": {"messages": _messages()},
    }


def text() -> str:
    """Give the document as the file holds it."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2).decode() + "\n"


def _channel(topic: Topic, given: Settings) -> dict[str, Any]:
    configs: dict[str, Any] = {
        name: int(value) if value.isdigit() else value
        for name, value in topic.configs(given.replication).items()
    }
    configs["cleanup.policy"] = topic.cleanup.split(",")
    return {
        "address": topic.name,
        "description": f"Written by: {topic.writer}. Key: {topic.key}.",
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"} for name in LIES_IN[topic.name]
        },
        "servers": [{"$ref": "#/servers/kafka"}],
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": given.partitions,
                "replicas": given.replication,
                "topicConfiguration": configs,
                "x-partition": PARTITION[topic.writer],
                **BINDING,
            }
        },
    }


def _operations(given: Settings) -> dict[str, Any]:
    """Give what each role sends and receives: its rights to read and to write."""
    operations = {}
    for role, used_by in ROLES.items():
        for right in rights_of(role, "", given.group):
            if right.kind != "topic":
                continue
            for operation in right.operations:
                if operation not in ACTIONS:
                    continue
                action = ACTIONS[operation]
                operations[f"{role}-{action}-{right.name}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{right.name}"},
                    "summary": used_by,
                    **({"description": _reading(right.name)} if action == "receive" else {}),
                    "messages": [
                        {"$ref": f"#/channels/{right.name}/messages/{name}"}
                        for name in LIES_IN[right.name]
                    ],
                    "tags": [{"name": role}],
                    "bindings": {"kafka": _group(role, action, given)},
                }
    return operations


def _reading(topic: str) -> str:
    if topic in (*INPUTS, CONTROL):
        return "Written outside of transactions."
    return "isolation.level=read_committed: records of aborted transactions are no outputs."


def _group(role: str, action: str, given: Settings) -> dict[str, Any]:
    if (role, action) == ("worker", "receive"):
        return {"groupId": {"type": "string", "enum": [given.group]}, **BINDING}
    return dict(BINDING)


def _messages() -> dict[str, Any]:
    keys = {name: topic.key for topic in TABLE for name in LIES_IN[topic.name]}
    messages: dict[str, Any] = {}
    for name, key in keys.items():
        message: dict[str, Any] = {"name": name}
        if name in BYTES:
            message["description"] = BYTES[name]
            message["contentType"] = "application/octet-stream"
        else:
            kind = {**EVENTS, **OUTPUTS}[name]
            message["description"] = inspect.cleandoc(kind.__doc__ or "")
            message["payload"] = _schema(name)
        if name == "dead-letter":
            message["headers"] = _schema("dead-letter-headers")
        described = {"type": "string", "description": key}
        message["bindings"] = {"kafka": {"key": described, **BINDING}}
        messages[name] = message
    return messages


def _schema(name: str) -> dict[str, Any]:
    return {"schemaFormat": DIALECT, "schema": {"$ref": f"schemas/{name}.json"}}


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or say that it differs; 1: it does."""
    parser = argparse.ArgumentParser(prog="python -m deploy.asyncapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    parser.add_argument("--file", type=Path, default=FILE, help="default: docs/asyncapi.json")
    chosen = parser.parse_args(arguments)
    return bring_up_to_date({chosen.file: text()}, parser.prog, check=chosen.check)


if __name__ == "__main__":
    sys.exit(main())
