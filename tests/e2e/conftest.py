"""A deployment of a test's own, on the session's broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment import Deployment, deployment_on


@pytest.fixture
def deployment(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[Deployment]:
    made = deployment_on(kafka, topic_prefix, tmp_path)
    yield made
    made.stop()
