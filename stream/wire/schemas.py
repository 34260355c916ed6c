"""JSON Schema 2020-12 of every message, written from the types: `python -m stream.wire.schemas`.

Rules of the room: the files in docs/schemas are this program's output and nothing else; `--check`
compares and writes nothing. What the types cannot say (a user or an anonymous id must be there) is
added here. Other fields are allowed in events, not in outputs.
"""

import argparse
import inspect
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from stream.wire.types import EVENTS, OUTPUTS

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "schemas"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
NOT_READ: Final = (
    "schema_version", "session_id", "source", "locale", "prediction_id", "brand", "currency",
    "position", "results_count", "total",
)  # fmt: skip

_GIVEN: Final = {"type": "string", "minLength": 1}


def _one_of(*names: str) -> dict[str, Any]:
    """At least one of the fields is there and not empty."""
    return {"anyOf": [{"required": [name], "properties": {name: _GIVEN}} for name in names]}


def schema_of(name: str) -> dict[str, Any]:
    """Build the schema of one message."""
    kind = {**EVENTS, **OUTPUTS}[name]
    schema = msgspec.json.schema(kind)
    main = schema["$defs"][kind.__name__]
    for definition in schema["$defs"].values():
        definition["description"] = inspect.cleandoc(definition["description"])
    if name in EVENTS:
        skipped = ", ".join(NOT_READ)
        main["$comment"] = f"Other fields are skipped, so also these of the contract: {skipped}."
        main["allOf"] = [_one_of("user_id", "anonymous_id")]
        if name == "click":
            main["allOf"].append(_one_of("item_id", "product_id"))
        if name == "purchase":
            schema["$defs"]["PurchaseItem"]["allOf"] = [_one_of("item_id", "product_id")]
    else:
        for definition in schema["$defs"].values():
            definition["additionalProperties"] = False
    return {"$schema": DIALECT, "$id": f"forecart/{name}.json", "title": name, **schema}


def files() -> dict[str, str]:
    """Name and text of every file."""
    return {
        f"{name}.json": msgspec.json.format(msgspec.json.encode(schema_of(name)), indent=2).decode()
        + "\n"
        for name in (*EVENTS, *OUTPUTS)
    }


def differences(folder: Path) -> list[str]:
    """Say what in the folder is not as the types say."""
    wanted = files()
    found = {path.name: path.read_text() for path in folder.glob("*.json")}
    lines = [f"{name}: missing" for name in sorted(wanted.keys() - found.keys())]
    lines += [f"{name}: of no message" for name in sorted(found.keys() - wanted.keys())]
    lines += [
        f"{name}: differs from the types"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Write or check the files; 1: they differ."""
    parser = argparse.ArgumentParser(prog="python -m stream.wire.schemas", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: docs/schemas")
    chosen = parser.parse_args(arguments)
    if chosen.check:
        lines = differences(chosen.folder)
        for line in lines:
            print(f"{chosen.folder}/{line}; run python -m stream.wire.schemas")
        return 1 if lines else 0
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (chosen.folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
