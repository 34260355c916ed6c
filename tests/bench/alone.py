"""A deployment on a broker of its own, which is gone afterwards."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stream.local.kafka import EmbeddedKafka
from stream.settings import Settings
from tests.bench import machine
from tests.deployment import Deployment


@contextlib.contextmanager
def alone(name: str, **values: Any) -> Iterator[Deployment]:
    """Say what machine it is, and give the deployment: topics and group by `name`, on the CPU."""
    about = machine.card()
    print(f"{about['processor']}, {about['cores']} cores, commit {about['commit']}; synthetic")
    with tempfile.TemporaryDirectory(prefix=f"forecart-{name}-") as folder:
        broker = EmbeddedKafka(Path(folder) / "kafka")
        settings = Settings(
            broker=broker.up(), topic_prefix=f"{name}-", group=name, provider="cpu",
            web_port=0, state_dir=folder, **values,
        )  # fmt: skip
        deployment = Deployment(settings)
        try:
            yield deployment
        finally:
            deployment.stop()
            broker.down()
