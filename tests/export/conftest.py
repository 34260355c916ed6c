"""A little shop's log, recorded once: 60 users, 20 days, L = 4."""

import pytest

from export.dataset.event_log import EventLog
from export.dataset.record import Recorded, record
from export.dataset.shop_log import shop_log
from stream.core.config import EngineConfig
from stream.local.shop import Shop

CONFIG = EngineConfig(window_steps=8, refresh_steps=4, hidden_users_max=100)


@pytest.fixture(scope="session")
def log() -> EventLog:
    return shop_log(Shop(5, 60, items=200, days=20))


@pytest.fixture(scope="session")
def recorded(log: EventLog) -> Recorded:
    return record(log, CONFIG)
