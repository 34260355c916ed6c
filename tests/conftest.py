"""Fixtures of every room: the tests' own broker, topics of a test's own, clean settings.

The broker is the product's embedded one in a temporary home: never the user's broker, folder or
port. Only Kafka's jars are shared with the user, through the cache folder.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping

import pytest
from hypothesis import settings

from stream.local.kafka import EmbeddedKafka
from tests.kafka_tools import create_topics, delete_topics, taken_away, unique_prefix

# The first example of a kernel compiles it: seconds, and no fault.
settings.register_profile("forecart", deadline=None)
settings.load_profile("forecart")


def pytest_configure() -> None:
    """End as Ctrl-C does when asked to end, so that the broker is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))
    # A job in the background may be started with Ctrl-C ignored, and so would all it starts be.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's settings and state folder out of every test, subprocesses included."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("FORECART_")]:
            patch.delenv(name)
        patch.setenv("FORECART_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        patch.setenv("FORECART_WEB_PORT", "0")
        yield


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Kafka of this test session."""
    with taken_away(EmbeddedKafka(tmp_path_factory.mktemp("kafka"))) as broker:
        yield broker.up()


@pytest.fixture
def topic_prefix(kafka: str) -> Iterator[str]:
    """A topic prefix of this test's own; its topics are deleted at the end."""
    prefix = unique_prefix()
    yield prefix
    delete_topics(kafka, prefix)


@pytest.fixture
def make_topics(kafka: str, topic_prefix: str) -> Callable[..., dict[str, str]]:
    """Create topics under the test's prefix: `make_topics(["clicks"], 4)["clicks"]` is the name."""

    def make(
        names: Iterable[str], partitions: int, config: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        full = {name: topic_prefix + name for name in names}
        create_topics(kafka, full.values(), partitions, config)
        return full

    return make
