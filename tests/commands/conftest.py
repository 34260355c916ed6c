"""Run `forecart` in this process, and say what it wrote."""

import pytest
from click.testing import CliRunner

from stream.cli import group


@pytest.fixture
def forecart():
    """Call as `forecart("topics", "apply")`; the answer has exit_code, stdout, stderr, output."""

    def run(*words, stdin=None):
        result = CliRunner().invoke(group, words, input=stdin, prog_name="forecart")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def on_broker(forecart, kafka, topic_prefix):
    """Like `forecart`, with the test's broker and topic prefix."""

    def run(*words, stdin=None):
        return forecart(
            *words, "--broker", kafka, "--set", f"topic_prefix={topic_prefix}", stdin=stdin
        )

    return run
