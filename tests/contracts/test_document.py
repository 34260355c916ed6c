"""docs/asyncapi.json is what the code says, refers to what exists, and is AsyncAPI 3.0."""

import json
import tomllib

import jsonschema
import pytest

from deploy import asyncapi
from stream.settings import Settings
from stream.wire.rights import ROLES, rights_of
from stream.wire.topics import TABLE, Topic
from stream.wire.types import EVENTS, OUTPUTS
from tests.ops.from_npm import from_npm

DOCS = asyncapi.FILE.parent
DOCUMENT = json.loads(asyncapi.FILE.read_text())
SPECS = "@asyncapi/specs@6.11.1"
SHA256 = "abe96881dbfaad495ccbb6bd8d3fb43ca18a13b9d7564849ccb66f39d5e5b20f"


def test_the_file_is_what_the_code_writes(capsys):
    assert asyncapi.main(["--check"]) == 0, capsys.readouterr().out


def test_check_goes_red_when_the_table_changes(monkeypatch, tmp_path, capsys):
    file = tmp_path / "asyncapi.json"
    assert asyncapi.main(["--file", str(file)]) == 0
    assert asyncapi.main(["--check", "--file", str(file)]) == 0
    changed = (Topic("clicks", "user", "shop", "compact"), *TABLE[1:])
    monkeypatch.setattr(asyncapi, "TABLE", changed)
    assert asyncapi.main(["--check", "--file", str(file)]) == 1
    assert "run python -m deploy.asyncapi" in capsys.readouterr().out


def references(node):
    """Every $ref below a node."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def found(reference):
    """What a reference points at; raises where it points at nothing."""
    file, _, pointer = reference.partition("#")
    node = json.loads((DOCS / file).read_text()) if file else DOCUMENT
    for step in pointer.split("/")[1:]:
        node = node[step]
    if "$ref" in node and file == "":
        return found(node["$ref"])
    return node


def test_every_reference_points_at_something():
    all_of_them = set(references(DOCUMENT))
    assert all(found(reference) for reference in all_of_them)
    with pytest.raises(KeyError):
        found("#/channels/carts")


def test_every_type_of_message_lies_in_a_topic():
    files = {ref for ref in references(DOCUMENT["components"]) if ref.startswith("schemas/")}
    assert files == {f"schemas/{name}.json" for name in (*EVENTS, *OUTPUTS)}


def test_channels_are_the_table():
    assert list(DOCUMENT["channels"]) == [topic.name for topic in TABLE]
    for topic in TABLE:
        channel = DOCUMENT["channels"][topic.name]
        kafka = channel["bindings"]["kafka"]
        told = {
            name: ",".join(value) if isinstance(value, list) else str(value)
            for name, value in kafka["topicConfiguration"].items()
        }
        assert told == topic.configs(Settings().replication)
        assert channel["address"] == kafka["topic"] == topic.name
        for reference in references(channel["messages"]):
            assert found(reference)["bindings"]["kafka"]["key"]["description"] == topic.key


def test_operations_are_the_rights_of_the_roles():
    told = {
        (each["tags"][0]["name"], each["channel"]["$ref"], each["action"])
        for each in DOCUMENT["operations"].values()
    }
    assert told == {
        (role, f"#/channels/{right.name}", {"Read": "receive", "Write": "send"}[operation])
        for role in ROLES
        for right in rights_of(role, "", "forecart")
        for operation in right.operations
        if right.kind == "topic" and operation in {"Read", "Write"}
    }


def test_the_version_is_the_project_s():
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]
    assert DOCUMENT["info"]["version"] == project["version"]


@pytest.mark.operations
def test_the_document_keeps_to_asyncapi():
    official = json.loads(from_npm(SPECS, "schemas/3.0.0-without-$id.json", SHA256))
    check = jsonschema.Draft7Validator(official)
    check.validate(DOCUMENT)
    wrong = json.loads(json.dumps(DOCUMENT))
    wrong["channels"]["clicks"]["bindings"]["kafka"]["partitions"] = 0
    wrong["operations"]["worker-receive-clicks"]["action"] = "read"
    places = {error.absolute_path[0] for error in check.iter_errors(wrong)}
    assert places == {"channels", "operations"}
