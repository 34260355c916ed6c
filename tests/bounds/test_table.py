"""The table of limits is whole and true: no number without a row, no row without its tests."""

import ast
from dataclasses import fields

import pytest

from stream.wire import limits
from tests.bounds.table import NO_LIMITS, PAGE, PASSED_ON, TESTS, WATCHED, Limit, page, read_table

ROWS = [row for rows in read_table().values() for row in rows]
NAMES = {row.name for row in ROWS}


@pytest.mark.parametrize("kind", WATCHED, ids=lambda kind: kind.__name__)
def test_every_number_has_a_row(kind: type) -> None:
    numbers = [field.name for field in fields(kind) if field.type in {int, float, "int", "float"}]
    missing = [
        name for name in numbers if PASSED_ON.get(name, name) not in NAMES and name not in NO_LIMITS
    ]
    assert not missing, f"{kind.__name__}: no row in limits.toml for {missing}"


def test_every_constant_of_an_event_has_a_row() -> None:
    constants = {name for name in vars(limits) if name.endswith(("_MAX", "_MIN"))}
    assert constants <= NAMES


def test_what_is_no_limit_is_no_row() -> None:
    assert not NO_LIMITS & NAMES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_has_a_default_and_tests_that_are_there(row: Limit) -> None:
    assert isinstance(row.default, int | float)
    assert row.tests
    for test in row.tests:
        file, _, name = test.partition("::")
        tree = ast.parse((TESTS / file).read_text())
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        assert name in {node.name for node in tree.body if isinstance(node, functions)}, test


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.bounds.table`"
