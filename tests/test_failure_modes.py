"""docs/failure-modes.md names a test in each row, each of them is there, and none is forgotten."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "failure-modes.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
STEPS = ("1 encode", "2 publish", "3 produce", "4 confirm", "5 commit")


def named_tests(path: str) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.parse((ROOT / path).read_text()).body
    return {n.name for n in nodes if isinstance(n, kinds) and n.name.startswith("test_")}


def rows() -> list[str]:
    """Rows of the tables that end in a column of tests."""
    found: list[str] = []
    for table in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        head, _, *body = table.strip().splitlines()
        if head.rstrip(" |").endswith("test"):
            found += body
    return found


def test_each_row_names_a_test_that_is_there() -> None:
    assert len(rows()) > 30
    bare = [row for row in rows() if not re.search(r"`tests/[\w/]+\.py::\w+` *(\||,)", row)]
    assert bare == []
    gone = [f"{path}::{name}" for path, name in NAMED if name not in named_tests(path)]
    assert gone == []


def test_each_test_of_a_fault_is_named() -> None:
    named = {name for _, name in NAMED}
    for name in ("test_workers.py", "test_brokers.py", "test_recovery.py"):
        assert named_tests(f"tests/faults/{name}") <= named


def test_each_step_of_a_commit_has_a_row() -> None:
    told = "".join(rows())
    assert all(f"| {step}" in told for step in STEPS)
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    assert all(f"{step[0]}. **{step[2:]}**" in architecture for step in STEPS)
