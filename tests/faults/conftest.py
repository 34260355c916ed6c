"""A model of exact scores, and deployments under load whose state is compared with a replay."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stream.local.kafka import EmbeddedKafka
from tests.deployment import deployment_on
from tests.faults.exact_bundle import exact_bundle
from tests.faults.loaded import Loaded
from tests.kafka_tools import taken_away, unique_prefix


@pytest.fixture(scope="session")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the model."""
    folder = tmp_path_factory.mktemp("exact")
    exact_bundle(folder)
    return folder


@pytest.fixture
def loaded_on(exact: Path, tmp_path: Path) -> Iterator[Callable[..., Loaded]]:
    """Make a deployment on a broker, with a load that waits to be let go."""
    made: list[Loaded] = []

    def make(bootstrap: str, **changed: Any) -> Loaded:
        prefix = unique_prefix()
        deployment = deployment_on(bootstrap, prefix, tmp_path, bundle=str(exact), **changed)
        made.append(Loaded(deployment))
        return made[-1]

    yield make
    for loaded in made:
        loaded.stop()


@pytest.fixture
def loaded_here(kafka: str, loaded_on: Callable[..., Loaded]) -> Callable[..., Loaded]:
    """Make one on the session's broker."""
    return partial(loaded_on, kafka)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker of the test's own, which it may kill."""
    with taken_away(EmbeddedKafka(tmp_path / "kafka")) as broker:
        yield broker
