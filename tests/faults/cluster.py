"""Three brokers: Apache Kafka as the embedded one, with three replicas of everything.

Rules of the room: each node is broker and controller; the files are those of the embedded broker
(stream/local/broker_files.py) with what three nodes need otherwise.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream.local import broker_files as files
from stream.local import kafka, process
from stream.local.jars import class_path
from stream.local.whole import write_whole

NODES: Final = 3
DEADLINE_S: Final = 90.0
_CLUSTER_ID: Final = "Zm9yZWNhcnQtdGVzdHMxMg"
_REPLICATED: Final = {
    "default.replication.factor": "3",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}


class Node:
    """One of the three."""

    def __init__(self, home: Path, number: int, ports: tuple[int, int]) -> None:
        self.home = home
        self.number = number
        self.port, self.controller_port = ports
        self._running = (0, "")

    @property
    def address(self) -> str:
        return f"{files.HOST}:{self.port}"

    def format(self, voters: str) -> None:
        self.home.mkdir(parents=True)
        settings = (
            files.BROKER_SETTINGS
            | _REPLICATED
            | {
                "node.id": str(self.number),
                "controller.quorum.voters": voters,
                "listeners": f"PLAINTEXT://{self.address},"
                f"CONTROLLER://{files.HOST}:{self.controller_port}",
                "advertised.listeners": f"PLAINTEXT://{self.address}",
                "log.dirs": str(self.home / "data"),
            }
        )
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        write_whole(self._properties, text)
        tool = ("kafka.tools.StorageTool", "format", f"--cluster-id={_CLUSTER_ID}", "--config")
        done = subprocess.run(
            [*self._jvm(), *tool, str(self._properties)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        words = [*self._jvm(), "kafka.Kafka", str(self._properties)]
        pid = process.start(words, self.home / "broker.out", self.home)
        self._running = pid, process.start_mark(pid)

    def kill(self) -> None:
        """End it as kill -9 does."""
        pid, mark = self._running
        if process.running(pid, mark):
            os.kill(pid, signal.SIGKILL)
        while process.running(pid, mark):
            time.sleep(process.POLL_S)

    @property
    def _properties(self) -> Path:
        return self.home / "broker.properties"

    def _jvm(self) -> list[str]:
        return kafka._jvm(kafka._java(), class_path(), self.home)


class Cluster:
    """All three, in one folder."""

    def __init__(self, folder: Path) -> None:
        taken: list[int] = []
        for _ in range(2 * NODES):
            taken.append(files.choose_port(0, taken=frozenset(taken)))
        self.nodes = [
            Node(folder / f"node-{index + 1}", index + 1, (taken[2 * index], taken[2 * index + 1]))
            for index in range(NODES)
        ]

    @property
    def bootstrap(self) -> str:
        return ",".join(node.address for node in self.nodes)

    def up(self) -> str:
        voters = ",".join(f"{n.number}@{files.HOST}:{n.controller_port}" for n in self.nodes)
        for node in self.nodes:
            node.format(voters)
            node.start()
        self._wait(lambda: self.alive() == NODES, "three brokers")
        return self.bootstrap

    def down(self) -> None:
        for node in self.nodes:
            node.kill()

    def alive(self) -> int:
        """Brokers that are registered."""
        return len(self._metadata().brokers)

    def wait_in_sync(self) -> None:
        """Wait until each partition has all its replicas again."""

        def whole() -> bool:
            topics = self._metadata().topics.values()
            return all(
                len(part.isrs) == NODES for topic in topics for part in topic.partitions.values()
            )

        self._wait(whole, "all replicas in sync")

    def leads(self, topic: str) -> Node:
        """The node that leads most partitions of a topic."""
        parts = self._metadata().topics[topic].partitions.values()
        leaders = [part.leader for part in parts]
        most = max(set(leaders), key=leaders.count)
        return self.nodes[most - 1]

    def _metadata(self) -> Any:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(
            timeout=10
        )

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                if condition():
                    return
            except KafkaException:  # nobody answers yet
                pass
            assert time.monotonic() < deadline, f"waited {DEADLINE_S} s for {what}"
            time.sleep(0.1)
