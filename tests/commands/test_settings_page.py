"""The settings as docs/operations.md lists them are those of the code."""

import re
from pathlib import Path

from stream.settings import names_with_help

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_each_setting_has_its_row():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    told = {name: (default.strip("`"), text) for name, default, text in rows}
    wanted = {
        name: (str(default).lower() if kind is bool else str(default), text)
        for name, kind, default, text in names_with_help()
    }
    assert {name: told.get(name) for name in wanted} == wanted
