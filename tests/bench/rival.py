"""A contender that is somebody else's program: started, watched, its records counted afterwards.

Rules of the room: a contender's module makes one `Rival` and gives its setup, run and teardown on.
The program is told the case as JSON in its last argument. With transactions the group's commits
are the progress; without, the records written are.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from confluent_kafka.admin import AdminClient, NewTopic

from stream.core.layout import TOPICS
from stream.shell.reader import Reader
from tests.bench.case import Case, Result
from tests.bench.process import alive, end
from tests.bench.progress import Progress, committed, watch

LOGS = Path("build/bench")
COMMIT_WAIT_S = 10.0
Command = Callable[[Case], list[str]]


@dataclass(slots=True)
class Made:
    """What setup leaves for run and teardown."""

    process: psutil.Popen
    log: Path
    state_dir: str


@dataclass(frozen=True, slots=True)
class Rival:
    """A contender that is somebody else's program."""

    name: str  # the group is the prefix and this
    command: Command
    transactions: bool  # exactly-once; else at least once
    environ: dict[str, str] = field(default_factory=dict)
    warm_share: float = 0.0  # of the load, not in the rate: a JVM compiles meanwhile

    def setup(self, case: Case) -> Made:
        """Create the output topic and start the program."""
        admin = AdminClient({"bootstrap.servers": case.bootstrap})
        topic = NewTopic(case.prefix + "predictions", case.card.partitions, 1)
        admin.create_topics([topic])[topic.topic].result(30)
        state_dir = tempfile.mkdtemp(prefix=f"forecart-bench-{self.name}-")
        told = json.dumps(asdict(case) | {"state_dir": state_dir})
        LOGS.mkdir(parents=True, exist_ok=True)
        log = LOGS / f"{case.prefix}{self.name}.log"
        with log.open("wb") as sink:
            process = psutil.Popen(
                [*self.command(case), told],
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        return Made(process, log, state_dir)

    def run(self, case: Case, made: Made) -> Result:
        """Take the load, and say how fast it went."""
        progress, records, size = self.take(case, made)
        events, seconds, cpu_s = progress.rate(from_events=int(self.warm_share * case.events))
        return {
            "events": events,
            "seconds": seconds,
            "events_per_second": events / seconds,
            "cpu_us_per_event": cpu_s / events * 1e6,
            "points": progress.points,
            "records": records,
            "prediction_bytes": size / records,
        }

    def take(self, case: Case, made: Made) -> tuple[Progress, int, int]:
        """Wait until every event is through, then count what was written: records and bytes."""
        with Reader(case.bootstrap) as reader:
            with self._done(reader, case) as done:
                living = alive(made.process, made.log)
                progress = watch(done, case.events, case.deadline_s, living)
            # The group may be told of a commit before the outputs' transaction ends.
            until = time.monotonic() + COMMIT_WAIT_S
            records, size = count(reader, case)
            while records < case.events and time.monotonic() < until:
                records, size = count(reader, case)
        if records < case.events or (self.transactions and records > case.events):
            raise RuntimeError(f"{self.name}: {records} records for {case.events} events")
        return progress, records, size

    def teardown(self, _case: Case, made: Made) -> None:
        """Stop the program and what it started."""
        end(made.process)
        shutil.rmtree(made.state_dir, ignore_errors=True)

    @contextlib.contextmanager
    def _done(self, reader: Reader, case: Case) -> Iterator[Callable[[], int]]:
        if not self.transactions:
            topic = case.prefix + "predictions"
            yield lambda: sum(last for _, last in reader.ranges([topic]).values())
            return
        places = [(case.prefix + t, p) for t in TOPICS for p in range(case.card.partitions)]
        with committed(case.bootstrap, case.prefix + self.name, places) as done:
            yield done


def count(reader: Reader, case: Case) -> tuple[int, int]:
    """Read all predictions that are committed: records and bytes."""
    records, size = 0, 0
    for record in reader.records(reader.ranges([case.prefix + "predictions"])):
        records += 1
        size += len(record.value or b"")
    return records, size
