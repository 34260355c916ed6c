"""Compile the kernels before the first test: a worker under test has half a minute, no more."""

import pytest

from stream.core.config import EngineConfig
from stream.core.layout import TOPICS
from stream.flow.warm_up import warm_up
from stream.wire.decode import Decoder
from tests.flow.fakes import serving
from tests.oracle.int_scorer import IntScorer


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Put made-up rows through every step, as a worker does at its start."""
    config = EngineConfig(hidden_users_max=32, exclude_recent=False)
    made = serving(IntScorer())
    warm_up(config, 1, list(TOPICS), Decoder(1), made.scorer, made.effects)
