"""A worker under load, and a Prometheus that scrapes it each second."""

import threading
import urllib.request
from pathlib import Path

from stream.local.publish import Pace, Publisher, run_paced
from stream.local.shop import Shop
from stream.wire.topics import INPUTS
from tests.deployment import Deployment, deployment_on
from tests.kafka_tools import unique_prefix
from tests.ops.watching import Watching, free_port


class Live:
    """A worker under load, and a Prometheus that scrapes it."""

    def __init__(
        self, kafka: str, folder: Path, rate: float = 300.0, users: int = 300, token: str = ""
    ) -> None:
        self.rate = rate  # events/s
        self._users = users
        self.prefix = unique_prefix()
        self.port = free_port()
        self.deployment: Deployment = deployment_on(
            kafka, self.prefix, folder, web_port=self.port, batch_events_max=8192, web_token=token
        )
        self.watching = Watching(folder, [f"127.0.0.1:{self.port}"])
        self._stop = threading.Event()
        self._load = threading.Thread(target=self._publish)

    def start(self) -> None:
        self.deployment.start()
        self.watching.start()
        self.deployment.worker().wait_said(" running\n", 180)  # a first one compiles
        self.start_load()

    def start_load(self) -> None:
        self._load.start()

    def _publish(self) -> None:
        settings = self.deployment.settings
        publisher = Publisher(settings.broker, [settings.topic(name) for name in INPUTS])
        try:
            shop = Shop(11, users=self._users, partitions=settings.partitions)
            run_paced(publisher, shop.events(), Pace(rate=self.rate), stop=self._stop)
        finally:
            publisher.close()

    def metrics(self) -> str:
        address = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def stop_load(self) -> None:
        self._stop.set()
        if self._load.is_alive():
            self._load.join(30)

    def stop(self) -> None:
        self.stop_load()
        self.watching.stop()
        self.deployment.stop()
