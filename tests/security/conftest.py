"""A secured broker of this room's own, started when the first test asks for it."""

from collections.abc import Iterator

import pytest

from tests.kafka_tools import taken_away
from tests.security.secured_broker import SecuredBroker


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with taken_away(SecuredBroker(tmp_path_factory.mktemp("secured"))) as broker:
        broker.up()
        yield broker
