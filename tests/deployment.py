"""A deployment on a real broker: topics, worker processes that can be killed, and the audit.

Rules of the room: workers are `forecart worker` in processes of their own, told everything by the
environment; what is asked of them is asked from outside: log, metrics, topics.
"""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stream.audit.run import Names, Report, audit, wait_settled
from stream.local.publish import Pace, Publisher, run_paced
from stream.local.shop import Shop
from stream.served.log import names_of
from stream.settings import ENV_PREFIX, Settings
from stream.shell.admin import TopicAdmin
from stream.shell.reader import Reader
from stream.wire.topics import INPUTS

FORECART = [sys.executable, "-c", "from stream.cli import main; main()"]
DEADLINE_S = 90.0
LOOK_S = 5.0  # for events in flight, until workers are looked at again


class WorkerProcess:
    """`forecart worker` with one instance number, over several lives; their logs follow another."""

    def __init__(self, settings: Settings, folder: Path, instance: int) -> None:
        self.settings = settings
        self.instance = instance
        self.log = folder / f"worker-{instance}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._said_first = 0  # bytes of the log before the last start

    @property
    def identity(self) -> str:
        """Its transactional id, and its name in the group."""
        return f"{self.settings.group}-{self.instance}"

    def start(self, *arguments: str, program: Sequence[str] = FORECART) -> None:
        words = (*program, "worker", "--instance", str(self.instance), *arguments)
        self._said_first = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, env=environ_of(self.settings), stdout=log, stderr=log
            )

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.send(number)
        return self.ended()

    def ended(self, limit_s: float = 60.0) -> int:
        """Wait until it ends by itself; returns the exit code."""
        assert self.process is not None
        return self.process.wait(limit_s)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def said(self) -> str:
        """The log since the last start."""
        with self.log.open("rb") as log:
            log.seek(self._said_first)
            return log.read().decode(errors="replace")

    def check_runs(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, self.said()[-3000:]

    def wait_said(self, words: str, limit_s: float = DEADLINE_S) -> None:
        """Wait until the log has these words since the last start."""

        def there() -> bool:
            if words in self.said():
                return True
            self.check_runs()
            return False

        until(there, f"{words!r} of worker {self.instance}", limit_s)

    def wait_until_it_runs(self, limit_s: float = DEADLINE_S) -> None:
        self.wait_said(" running\n", limit_s)

    def owned(self) -> list[int]:
        """Partitions it took last and has not handed over since."""
        found = re.findall(r"(took|handing over) partitions \[([\d, ]*)\]", self.said())
        if not found or found[-1][0] != "took":
            return []
        return [int(number) for number in found[-1][1].split(",") if number]

    def owned_count(self) -> int:
        """How many partitions it says that it owns; its log may be short of words, this is not."""
        try:
            return int(self.metric("forecart_assigned_partitions"))
        except (OSError, IndexError):  # not up yet
            return 0

    def metric(self, name: str, label: str = "") -> float:
        """Sum of a metric's samples, of all labels or of those with one, as it is written."""
        ports = re.findall(r"metrics and health on (http://\S+)", self.said())
        with urllib.request.urlopen(f"{ports[-1]}/metrics", timeout=10) as answer:  # noqa: S310
            lines = answer.read().decode().splitlines()
        rows = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return sum(
            float(row[2]) for row in rows if row[0].partition("{")[0] == name and label in row[0]
        )


class Deployment:
    """Topics, workers, and the audit of what they did. `settings` with broker and prefix."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = Path(settings.state_dir)
        self.workers: dict[int, WorkerProcess] = {}
        TopicAdmin(settings.broker, settings).apply()

    def worker(self, instance: int = 0) -> WorkerProcess:
        """Give the worker of an instance number, started or not."""
        return self.workers.setdefault(
            instance, WorkerProcess(self.settings, self.folder, instance)
        )

    def start(self, *arguments: str, instance: int = 0) -> WorkerProcess:
        worker = self.worker(instance)
        worker.start(*arguments)
        return worker

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop()

    def publish_shop(self, events: int, seed: int, rate: float | None = None) -> int:
        publisher = Publisher(self.settings.broker, [self.settings.topic(name) for name in INPUTS])
        try:
            shop = Shop(seed, users=300, items=200, partitions=self.settings.partitions)
            done = run_paced(
                publisher,
                shop.events(),
                Pace(rate=rate),
                stop=threading.Event(),
                records_max=events,
            )
        finally:
            publisher.close()
        return done.records

    @property
    def names(self) -> Names:
        return names_of(self.settings.topic_prefix)

    def audit(self, *, repeats: bool = False) -> Report:
        with Reader(self.settings.broker) as log:
            return audit(log, self.names, repeats=repeats)

    def settled(self, events: int, *, repeats: bool = False) -> Report:
        """Audit once nothing is in flight."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            with Reader(self.settings.broker) as log:
                if wait_settled(log, self.names, LOOK_S):
                    report = audit(log, self.names, repeats=repeats)
                    total = sum(sum(row.values()) for row in report.counts.values())
                    if total == events and report.total("in_flight") == 0:
                        return report
            running = [w for w in self.workers.values() if w.process and w.process.poll() is None]
            said = "".join(worker.said()[-3000:] for worker in self.workers.values())
            assert running, said
            assert time.monotonic() < deadline, self.audit(repeats=repeats).summary() + said

    def committed(self) -> int:
        """Predictions that can be read."""
        with Reader(self.settings.broker) as reader:
            ranges = reader.ranges([self.settings.topic("predictions")])
            return sum(end - first for first, end in ranges.values())


def deployment_on(kafka: str, prefix: str, folder: Path, **changed: Any) -> Deployment:
    """Make a deployment whose workers are so slow that a kill finds them at work."""
    values = {"commit_interval_ms": 200, "batch_events_max": 512, "provider": "cpu", **changed}
    return Deployment(
        Settings(broker=kafka, topic_prefix=prefix, group=prefix, state_dir=str(folder), **values)
    )


def environ_of(settings: Settings) -> dict[str, str]:
    """Give the environment in which a command has these settings."""
    changed = {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if getattr(settings, field.name) != field.default
    }
    own = {ENV_PREFIX + name.upper(): str(value) for name, value in changed.items()}
    return {**os.environ, **own}


def until(condition: Callable[[], object], what: str, limit_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.05)
