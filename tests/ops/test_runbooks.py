"""A runbook for each alert and an alert for each runbook; what they name exists."""

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from stream.cli import group
from stream.flow.stops import exit_codes
from stream.settings import Settings
from tests.ops import promql

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "runbooks"
BOOKS = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.md"))}
ALERTS = promql.alerts()
KILLED = 137  # by kill -9, or for memory
PARTS = ("## What it means", "## First", "## Causes, likeliest first", "## When to wake whom")


def test_each_alert_has_its_runbook_and_each_runbook_its_alert():
    assert set(BOOKS) - {"README"} == set(ALERTS)
    listed = re.findall(r"\]\((\w+)\.md\)", BOOKS["README"])
    assert sorted(listed) == sorted(ALERTS)


def commands_in(text: str) -> list[list[str]]:
    """Find calls of `forecart` in code, split in words."""
    blocks = re.findall(r"^    (.+)$", text, re.MULTILINE) + re.findall(r"`([^`]+)`", text)
    return [
        line.split()[1:]
        for block in blocks
        for line in [block.split("   #")[0].strip()]
        if line.startswith("forecart ")
    ]


def objection(words: list[str]) -> str:
    """Say what of a call does not exist."""
    command: click.Command = group
    while isinstance(command, click.Group) and words:
        name, words = words[0], words[1:]
        found = command.get_command(click.Context(command), name)
        if found is None:
            return f"no command {name!r} below {command.name!r}"
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    wrong = [word for word in words if word.startswith("--") and word not in known]
    return f"{command.name} has no {wrong}" if wrong else ""


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_has_its_parts_and_begins_with_a_command(name):
    text = BOOKS[name]
    assert text.startswith(f"# {name}\n")
    places = [text.find(f"\n{part}\n") for part in PARTS]
    assert -1 not in places, [part for part, at in zip(PARTS, places, strict=True) if at < 0]
    assert places == sorted(places)
    first = text[places[1] : places[2]]
    assert re.search(r"^    \S", first, re.MULTILINE), "no command to type first"
    assert re.search(r"^\|", first, re.MULTILINE), "does not say what its output means"
    assert re.search(r"^1\. ", text[places[2] :], re.MULTILINE)


@pytest.mark.parametrize("name", BOOKS)
def test_what_a_runbook_names_exists(name):
    text = BOOKS[name]
    for words in commands_in(text):
        assert objection(words) == "", " ".join(words)
    known = promql.series()
    metrics = {re.sub(r"_(bucket|sum|count)$", "", series) for series in known} | set(known)
    for metric in re.findall(r"\b(?:forecart|process)_\w+", text):
        assert metric in metrics, metric
    settings = {field.name for field in fields(Settings)}
    for setting in re.findall(r"setting `(\w+)`", text):
        assert setting in settings, setting
    for code in re.findall(r"\bcode (\d+)", text):
        assert int(code) in {0, 1, 2, 130, KILLED, *exit_codes()}, code
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (FOLDER / link).exists(), link
    for other in re.findall(r"[Rr]unbook (\w+)", text):
        assert other in ALERTS, other


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["topics", "describe"], ""),
        (["topics", "invent"], "no command 'invent'"),
        (["fix"], "no command 'fix'"),
        (["audit", "--settle", "30"], ""),
        (["audit", "--quickly"], "--quickly"),
    ],
)
def test_a_command_that_is_not_there_is_found(words, wrong):
    found = objection(words)
    assert wrong in found
    assert bool(found) == bool(wrong)
