"""The house rules, checked: floors, sizes, names, docstrings, and help with an example.

Each rule is also shown a bad sample, so that a rule which never objects is found out.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from export.__main__ import COMMANDS as EXPORT_COMMANDS
from export.__main__ import group as export_group
from stream.cli import COMMANDS, group
from tests import tidy_rules
from tests.tidy_rules import Source

ROOT = Path(__file__).parent.parent
FOLDERS = ("stream", "export", "tests", "deploy")


def sources() -> list[Source]:
    return [
        Source(path.relative_to(ROOT), path.read_text())
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


@pytest.mark.parametrize("rule", tidy_rules.RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule):
    wrong = [line for source in sources() for line in rule(source)]
    assert not wrong, "\n" + "\n".join(wrong)


def test_all_rooms_are_looked_at():
    rooms = {source.room for source in sources()}
    assert {"stream.core", "stream.shell", "stream.cli", "export", "tests"} <= rooms


LONG_FUNCTION = "def f():\n" + "    x = 1\n" * 70
SAMPLES = [
    # rule, path, text, part of the objection; "" for none: limits are tested on both sides
    ("floors", "stream/core/x.py", "from stream.wire import decode", "not below it"),
    ("floors", "stream/core/x.py", "from stream import settings", "not below it"),
    ("floors", "stream/core/x.py", "def f():\n    import stream.flow.loop", "not below it"),
    ("floors", "stream/core/x.py", "from ..shell import web", "not below it"),
    ("floors", "stream/wire/x.py", "from stream.model import scorer", "not below it"),
    ("floors", "stream/local/x.py", "from stream.shell import web", "not below it"),
    ("floors", "stream/shell/x.py", "import stream.app", "not below it"),
    ("floors", "stream/app.py", "from stream.commands import worker", "not below it"),
    ("floors", "stream/core/x.py", "from stream.cellar import x", "on no floor"),
    ("floors", "stream/cellar/x.py", "from stream.core import x", "on no floor"),
    ("floors", "export/x.py", "from stream.shell import web", "export imports"),
    ("floors", "export/x.py", "from stream.core import layout", ""),
    ("floors", "stream/core/x.py", "from stream.core.layout import W\nfrom . import plan", ""),
    ("floors", "stream/app.py", "from stream.shell import web", ""),
    ("floors", "tests/x.py", "from stream.cli import group", ""),
    ("libraries", "stream/core/x.py", "import msgspec", "stream.core imports msgspec"),
    ("libraries", "stream/flow/x.py", "from faust import App", "stream.flow imports faust"),
    ("libraries", "stream/model/x.py", "def f():\n    import torch", "the service imports torch"),
    ("libraries", "stream/app.py", "from export import train", "the service imports export"),
    ("libraries", "stream/app.py", "import tests.kafka_tools", "the service imports tests"),
    ("libraries", "stream/shell/x.py", "import faust\nimport confluent_kafka", "not of one"),
    ("libraries", "stream/shell/x.py", "import faust\nimport aiokafka.errors", ""),
    ("libraries", "stream/core/x.py", "import math\nimport numpy as np\nimport numba", ""),
    ("libraries", "export/x.py", "import torch", ""),
    ("purity", "stream/core/x.py", "import time", "core imports time"),
    ("purity", "stream/core/x.py", "from os.path import join", "core imports os.path"),
    ("purity", "stream/flow/x.py", "import time", ""),
    ("sizes", "stream/x.py", "x = 1\n" * 401, "401 lines"),
    ("sizes", "stream/x.py", "x = 1\n" * 400, ""),
    ("sizes", "stream/x.py", LONG_FUNCTION, "f has 71 lines"),
    ("sizes", "stream/x.py", LONG_FUNCTION.removesuffix("    x = 1\n"), ""),
    ("sizes", "stream/x.py", f"x = '{'y' * 95}'", "101 columns"),
    ("sizes", "stream/x.py", f"x = '{'y' * 94}'", ""),
    ("names", "stream/core/array_utils.py", "", "'utils'"),
    ("names", "stream/common/x.py", "", "'common'"),
    ("names", "stream/x.py", "class StateManager: pass", "class StateManager"),
    ("names", "stream/x.py", "class StateManager(dict): pass", "class StateManager"),
    ("names", "stream/x.py", "class ChunkManager(faust.TableManager): pass", ""),
    ("names", "stream/x.py", "class Database: pass", ""),
    ("docstrings", "stream/x.py", "x = 1", "no docstring"),
    ("docstrings", "stream/__init__.py", "", "no docstring"),
    ("docstrings", "stream/x.py", '"""The job."""', ""),
    ("crashes", "tests/x.py", "admin.list_consumer_group_offsets([])", "Consumer.committed"),
    ("crashes", "tests/x.py", "consumer.committed([])", ""),
]


@pytest.mark.parametrize(("rule", "path", "text", "objection"), SAMPLES)
def test_each_rule_objects_to_a_bad_sample_only(rule, path, text, objection):
    wrong = getattr(tidy_rules, rule)(Source(Path(path), text))
    if objection:
        assert objection in "\n".join(wrong)
    else:
        assert wrong == []


def test_every_rule_has_a_bad_sample():
    objected = {rule for rule, _, _, objection in SAMPLES if objection}
    assert objected == {rule.__name__ for rule in tidy_rules.RULES}


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Give a command and all below it, by the words that call them."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            yield from commands(below, f"{name} {word}")


def without_example(name: str, command: click.Command) -> str:
    """Say what the help of a command lacks; "": nothing."""
    text = " ".join((command.help or "").replace("\b", "").split())
    if not text:
        return f"`{name}` has no help"
    if f"{name} " not in f"{text.partition('Example')[2]} ":
        return f"`{name} --help` has no example (write `Example: {name} ...`)"
    bare = [
        option.name
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    return f"`{name}` has options without help: {bare}" if bare else ""


@pytest.mark.parametrize(
    ("program", "words", "name"),
    [("forecart", group, name) for name in COMMANDS]
    + [("python -m export", export_group, name) for name in EXPORT_COMMANDS],
)
def test_every_command_has_help_with_an_example(program, words, name):
    command = words.get_command(click.Context(words), name)
    assert command is not None
    wrong = [without_example(*found) for found in commands(command, f"{program} {name}")]
    assert not any(wrong), "\n" + "\n".join(filter(None, wrong))


@pytest.mark.parametrize(
    ("text", "objection"),
    [
        ("", "no help"),
        ("Do it.", "no example"),
        ("Do it. Example: forecart other", "no example"),
        ("Do it. Example: forecart do --x 1", ""),
    ],
)
def test_a_command_without_example_is_found(text, objection):
    found = without_example("forecart do", click.Command("do", help=text))
    assert objection in found
    assert bool(found) == bool(objection)


def test_an_option_without_help_is_found():
    option = click.Option(["--bare"])
    command = click.Command("do", help="Do it. Example: forecart do", params=[option])
    assert "bare" in without_example("forecart do", command)
