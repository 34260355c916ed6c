"""A log of a simulated shop, served by the shipped bundle over fakes. Synthetic."""

from dataclasses import dataclass

import pytest

from stream.core.config import EngineConfig
from stream.model.bundle import Bundle, load_bundle
from stream.model.graphs import Graphs
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer
from tests.served.played import PlayedLog, play_shop, told_by


@dataclass
class Shipped:
    """The bundle of the package, and the engine settings of the rig."""

    bundle: Bundle
    graphs: Graphs
    config: EngineConfig


@pytest.fixture(scope="session")
def shipped() -> Shipped:
    bundle = load_bundle()
    config = EngineConfig(hidden_users_max=32, exclude_recent=False)
    return Shipped(bundle, open_graphs(bundle, "cpu"), config)


@pytest.fixture(scope="session")
async def served_log(shipped: Shipped) -> PlayedLog:
    """Not to be changed: `log` is a copy for who wants to."""
    scorer = OnnxScorer(shipped.bundle, shipped.graphs, items_top=10)
    return told_by(await play_shop(41, 1200, scorer, forget_every=60), shipped.bundle)


@pytest.fixture
def log(served_log: PlayedLog) -> PlayedLog:
    return served_log.copy()
