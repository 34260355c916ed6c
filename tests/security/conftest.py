"""A secured broker of this room's own, started when the first test asks for it."""

import shutil
from collections.abc import Iterator

import pytest

from tests.security.secured_broker import SecuredBroker


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    home = tmp_path_factory.mktemp("secured")
    broker = SecuredBroker(home)
    try:
        broker.up()
        yield broker
    finally:
        broker.down()
        shutil.rmtree(home, ignore_errors=True)
