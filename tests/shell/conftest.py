"""Topics and group of a broker test in this room."""

from collections.abc import Callable, Mapping

import pytest

from tests.shell.toy import INPUTS

PARTITIONS = 4


@pytest.fixture
def names(make_topics: Callable[..., dict[str, str]]) -> Mapping[str, str]:
    """Names on the broker of the toy flow's topics."""
    made = make_topics([*INPUTS, "out", "stock"], PARTITIONS, {"retention.ms": "-1"})
    return {**made, **make_topics(["user-state"], PARTITIONS, {"cleanup.policy": "compact"})}


@pytest.fixture
def group(topic_prefix: str) -> str:
    """A consumer group of the test's own."""
    return f"{topic_prefix}group"
