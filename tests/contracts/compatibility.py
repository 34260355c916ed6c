"""What may change in a message or a topic from one release to the next, as rules.

Rules of the room: each rule takes what was and what is and says what breaks. Events may gain
optional fields and accept more; outputs may gain fields and values of an enumeration, and nothing
of what readers use may go or change. A keyword that no rule knows is refused, not overlooked.
"""

from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]
WORDS = {"title", "description", "default", "$comment", "$schema", "$id", "$defs"}  # say, bind not
LOWER = {"minimum", "minLength", "minItems"}
UPPER = {"maximum", "maxLength", "maxItems"}
LIMITS = LOWER | UPPER | {"pattern"}
KNOWN = WORDS | LIMITS | {
    "$ref", "type", "enum", "anyOf", "allOf", "properties", "required", "items",
    "additionalProperties",
}  # fmt: skip
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


@dataclass
class Field:
    """What a schema says of one place in a message; a place is a path such as `items[].price`."""

    types: set[str] = field(default_factory=set)
    values: set[Any] | None = None  # of an enumeration; null apart, in types
    limits: dict[str, Any] = field(default_factory=dict)
    conditions: set[str] = field(default_factory=set)  # allOf, as text
    required: bool = False
    is_closed: bool = False  # no other fields


def fields_of(schema: Schema) -> dict[str, Field]:
    """Flatten a schema: path to field, "" being the message itself."""
    fields: dict[str, Field] = {}
    _collect(schema, schema["$defs"], "", fields)
    return fields


def _collect(node: Schema, defs: Schema, path: str, fields: dict[str, Field]) -> None:
    unknown = node.keys() - KNOWN
    if unknown:
        raise ValueError(f"{path or 'message'}: no rule knows {sorted(unknown)}")
    here = fields.setdefault(path, Field())
    if "$ref" in node:
        _collect(defs[node["$ref"].rpartition("/")[2]], defs, path, fields)
    if "type" in node:
        here.types.add(node["type"])
    if "enum" in node:
        here.types |= {TYPES[type(value)] for value in node["enum"]}
        here.values = (here.values or set()) | set(node["enum"])
    here.limits |= {name: node[name] for name in LIMITS & node.keys()}
    here.conditions |= {repr(each) for each in node.get("allOf", ())}
    here.is_closed |= node.get("additionalProperties") is False
    for branch in node.get("anyOf", ()):
        _collect(branch, defs, path, fields)
    if "items" in node:
        _collect(node["items"], defs, f"{path}[]", fields)
    for name, each in node.get("properties", {}).items():
        below = f"{path}.{name}".lstrip(".")
        _collect(each, defs, below, fields)
        fields[below].required = name in node.get("required", ())


def event_breaks(before: Schema, now: Schema) -> list[str]:
    """Say where an event that was accepted, and read, may no longer be."""
    was, becomes = fields_of(before), fields_of(now)
    broken = [f"{path}: removed" for path in was.keys() - becomes.keys()]
    for path, new in becomes.items():
        old = was.get(path)
        if old is None:
            parent = was.get(path.rpartition(".")[0].removesuffix("[]"))
            if new.required and parent is not None:
                broken.append(f"{path}: new and required")
            continue
        if new.required and not old.required:
            broken.append(f"{path}: now required")
        broken += [f"{path}: no longer {kind}" for kind in old.types - _with_integer(new.types)]
        if new.values is not None and (old.values is None or old.values - new.values):
            broken.append(f"{path}: fewer values")
        broken += [f"{path}: {what}" for what in _tightened(old.limits, new.limits)]
        if new.conditions - old.conditions:
            broken.append(f"{path}: a new condition")
        if new.is_closed and not old.is_closed:
            broken.append(f"{path}: other fields no longer allowed")
    return sorted(broken)


def _with_integer(types: set[str]) -> set[str]:
    return types | {"integer"} if "number" in types else types


def _tightened(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    found = []
    for name, limit in new.items():
        before = old.get(name)
        if (
            before is None
            or (name in LOWER and limit > before)
            or (name in UPPER and limit < before)
            or (name == "pattern" and limit != before)
        ):
            found.append(f"{name} {before} -> {limit}")
    return found


def output_breaks(before: Schema, now: Schema) -> list[str]:
    """Say what a reader of an output may miss, or find otherwise."""
    was, becomes = fields_of(before), fields_of(now)
    broken = []
    for path, old in was.items():
        new = becomes.get(path)
        if new is None:
            broken.append(f"{path}: removed")
            continue
        if old.required and not new.required:
            broken.append(f"{path}: no longer always there")
        if old.types != new.types:
            broken.append(f"{path}: {sorted(old.types)} -> {sorted(new.types)}")
        if (old.values is None) != (new.values is None) or (old.values or set()) - (
            new.values or set()
        ):
            broken.append(f"{path}: fewer values")
        if old.limits != new.limits:
            broken.append(f"{path}: {old.limits} -> {new.limits}")
    return sorted(broken)


def topic_breaks(before: Schema, now: Schema) -> list[str]:
    """Say which topic, message or key of an AsyncAPI document went or changed."""
    broken = []
    for name, old in before["channels"].items():
        new = now["channels"].get(name)
        if new is None:
            broken.append(f"{name}: removed")
            continue
        broken += [
            f"{name}: {each} removed" for each in old["messages"].keys() - new["messages"].keys()
        ]
        was, becomes = old["bindings"]["kafka"], new["bindings"]["kafka"]
        if was["x-partition"] != becomes["x-partition"]:
            broken.append(f"{name}: partition rule")
        policy = "cleanup.policy"
        if was["topicConfiguration"][policy] != becomes["topicConfiguration"][policy]:
            broken.append(f"{name}: {policy}")
        kept_ms = [each["topicConfiguration"].get("retention.ms", 0) for each in (was, becomes)]
        if kept_ms[1] < kept_ms[0]:
            broken.append(f"{name}: kept for less long")
    for name, old in before["components"]["messages"].items():
        new = now["components"]["messages"].get(name)
        if new and new["bindings"]["kafka"]["key"] != old["bindings"]["kafka"]["key"]:
            broken.append(f"{name}: key")
    return broken
