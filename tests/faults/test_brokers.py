"""Brokers killed under load; then the audit, and the state replayed."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.flow.stops import CommitAbortedError, CommitLateError, StuckError
from stream.local import broker_files, process
from stream.local.kafka import EmbeddedKafka
from tests.deployment import WorkerProcess, until
from tests.faults.cluster import Cluster
from tests.faults.loaded import Loaded

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(400)]

# Without a broker a commit cannot end in time; nothing else may be the cause.
AWAY_CODES = {error.exit_code for error in (CommitLateError, CommitAbortedError, StuckError)}

Make = Callable[..., Loaded]


def start_again_if_ended(worker: WorkerProcess, codes: list[int]) -> None:
    """As a supervisor would."""
    assert worker.process is not None
    code = worker.process.poll()
    if code is not None:
        assert code in AWAY_CODES, worker.said()[-3000:]
        codes.append(code)
        worker.start()


def test_a_broker_killed_and_started_again(own_broker: EmbeddedKafka, loaded_on: Make) -> None:
    loaded = loaded_on(own_broker.up())
    worker = loaded.deployment.start()
    loaded.wait_owned(0)
    loaded.load.on()
    codes: list[int] = []
    for _ in range(2):
        loaded.wait_predictions()
        record = broker_files.read_record(own_broker.home)
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)
        until(lambda record=record: not process.running(record.pid, record.mark), "its end")
        own_broker.up()
        back = loaded.flowing()
        until(lambda back=back: start_again_if_ended(worker, codes) or back(), "predictions", 120)
    # A commit that was under way when the broker went may be through by now, and be what was seen,
    # while the worker is still to end on the next one's deadline.
    late = time.monotonic() + loaded.deployment.settings.commit_deadline_s
    until(lambda: start_again_if_ended(worker, codes) or time.monotonic() > late, "the deadline")
    back = loaded.flowing()
    until(lambda: start_again_if_ended(worker, codes) or back(), "predictions", 120)
    loaded.check()
    print(f"the worker ended with {codes}")


def test_a_broker_that_is_away_for_longer_than_a_transaction_may_last(
    own_broker: EmbeddedKafka, loaded_on: Make
) -> None:
    """It aborts what is open as it starts; that must reach the partitions (docs/failure-modes)."""
    loaded = loaded_on(own_broker.up())
    worker = loaded.deployment.start()
    loaded.wait_owned(0)
    loaded.load.on()
    codes: list[int] = []
    for _ in range(2):
        loaded.wait_predictions()
        record = broker_files.read_record(own_broker.home)
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)
        time.sleep(loaded.deployment.settings.transaction_timeout_s + 4)
        own_broker.up()
        back = loaded.flowing()
        until(lambda back=back: start_again_if_ended(worker, codes) or back(), "predictions", 120)
    loaded.check()
    print(f"the worker ended with {codes}")


def test_three_brokers_of_which_each_is_killed_once(tmp_path: Path, loaded_on: Make) -> None:
    cluster = Cluster(tmp_path / "cluster")
    try:
        loaded = loaded_on(cluster.up(), replication=3)
        worker = loaded.deployment.start()
        loaded.wait_owned(0)
        loaded.load.on()
        codes: list[int] = []
        gaps_s: list[float] = []
        for node in cluster.nodes:
            loaded.wait_predictions()
            node.kill()
            killed_s = time.monotonic()
            back = loaded.flowing()
            until(lambda back=back: start_again_if_ended(worker, codes) or back(), "go on", 120)
            gaps_s.append(round(time.monotonic() - killed_s, 1))
            node.start()
            cluster.wait_in_sync()
        loaded.check()
        print(f"the worker ended with {codes}; predictions of all partitions after {gaps_s} s")
    finally:
        cluster.down()
