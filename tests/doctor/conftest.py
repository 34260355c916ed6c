"""`forecart doctor` and the commands that it names, in this process."""

import json
import re
import shlex

import pytest
from click.testing import CliRunner

from stream.cli import group


@pytest.fixture
def doctor():
    """Call as `doctor("--broker", ...)`; gives the status and the findings by check."""

    def run(*words, **environ):
        result = CliRunner().invoke(group, ["doctor", "--json", *words], env=environ)
        assert isinstance(result.exception, SystemExit | None), result.exception
        note = json.loads(result.stdout)
        found = {}
        for finding in note["findings"]:
            found.setdefault(finding["check"], []).append(finding)
        assert note["ok"] == (result.exit_code == 0)
        return result.exit_code, found

    return run


@pytest.fixture
def mend():
    """Run the command between backquotes of a cure, as a reader would."""

    def run(cure):
        words = shlex.split(re.search(r"`forecart (.*?)`", cure)[1])
        result = CliRunner().invoke(group, words)
        assert result.exit_code == 0, result.output

    return run
