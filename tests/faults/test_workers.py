"""Workers halted, stopped, joined and left under load; then the audit, and the state replayed."""

import asyncio
import random
import re
import signal
import time
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException

from stream.app import DRAIN_S
from stream.flow.stops import CommitAbortedError, CommitFencedError, CommitLateError
from stream.shell.reader import Reader
from tests.deployment import WorkerProcess, until
from tests.faults.aims import Aim, strike
from tests.faults.guest import visiting
from tests.faults.loaded import Loaded
from tests.faults.transactions import INSIDE, Coordinator, Phase
from tests.kafka_tools import create_topics

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(400)]

# As short as the rules between limits and a busy machine allow.
QUICK = {
    "batch_deadline_s": 4.0, "commit_deadline_s": 5.0, "transaction_timeout_s": 6.0,
    "session_timeout_s": 8.0, "rebalance_timeout_s": 60.0,
}  # fmt: skip
REBALANCES = 100
# Fenced by the broker, or, if it was halted in the middle of a commit, past the commit's deadline.
ZOMBIE_CODES = {
    error.exit_code for error in (CommitFencedError, CommitAbortedError, CommitLateError)
}

Make = Callable[..., Loaded]


def test_sigterm_drains_within_its_deadline(loaded_here: Make) -> None:
    """What is applied is committed, nothing is left open, and the next start goes on from there."""
    loaded = loaded_here()
    worker = loaded.deployment.start()
    loaded.wait_owned(0)
    loaded.load.on()
    loaded.wait_predictions()
    began = time.monotonic()
    assert worker.kill(signal.SIGTERM) == 0
    drained_s = time.monotonic() - began
    assert drained_s < DRAIN_S
    assert loaded.open_records() == 0
    assert loaded.headers() == loaded.committed()
    worker.start()
    loaded.wait_predictions()
    loaded.check()
    print(f"drained_s={drained_s:.1f}")


@pytest.mark.parametrize("aim", Aim)
def test_killed_at_every_kind_of_moment(loaded_here: Make, aim: Aim) -> None:
    """What `make kill` counts, and here the state is replayed too."""
    loaded = loaded_here()
    loaded.deployment.start()
    loaded.wait_owned(0)
    loaded.load.on()
    coordinator = Coordinator(loaded.deployment.settings.broker)
    blow = strike(loaded.deployment, coordinator, aim, random.Random(aim))
    assert blow.restoring == (aim is Aim.RESTORING)
    assert blow.rebalancing == (aim is Aim.REBALANCING)
    loaded.wait_predictions()
    blow.leave()
    loaded.check()
    print(aim, "transaction:", blow.phase)


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.NONE])
def test_a_halted_worker_ends_when_it_wakes(loaded_here: Make, phase: Phase) -> None:
    """SIGSTOP beyond the session: another worker has its partitions; it commits nothing more."""
    loaded = loaded_here(**QUICK)
    loaded.deployment.start(instance=0)
    zombie = loaded.deployment.start(instance=1)
    loaded.wait_owned(0, 1)
    lost = zombie.owned()
    loaded.load.on()
    loaded.wait_predictions()
    _halt(zombie, phase)
    loaded.wait_owned(0)
    loaded.wait_predictions(lost)
    zombie.send(signal.SIGCONT)
    code = zombie.ended()
    assert code in ZOMBIE_CODES, zombie.said()[-3000:]
    print(f"halted at {phase}: exit code {code}")
    loaded.check()


def _halt(worker: WorkerProcess, phase: Phase) -> None:
    """Halt a worker when its transaction is in a phase."""
    coordinator = Coordinator(worker.settings.broker)
    try:
        until(lambda: coordinator.phase(worker.identity) is phase, f"a transaction {phase}")
        worker.send(signal.SIGSTOP)
    finally:
        coordinator.close()


def test_one_worker_three_workers_one_worker(loaded_here: Make) -> None:
    loaded = loaded_here(**QUICK)
    loaded.deployment.start(instance=0)
    loaded.wait_owned(0)
    loaded.load.on()
    loaded.wait_predictions()
    for instance in (1, 2):
        loaded.deployment.start(instance=instance)
        loaded.wait_owned(*range(instance + 1))
        loaded.wait_predictions()
    for instance in (2, 1):
        assert loaded.deployment.worker(instance).kill(signal.SIGTERM) == 0
        loaded.wait_owned(*range(instance))
        loaded.wait_predictions()
    loaded.check()


def test_a_rolling_restart_moves_nothing(loaded_here: Make) -> None:
    """Each of three comes back within its session: the others see no rebalance."""
    loaded = loaded_here(session_timeout_s=120.0, rebalance_timeout_s=180.0)
    workers = [loaded.deployment.start(instance=instance) for instance in range(3)]
    loaded.wait_owned(0, 1, 2)
    loaded.load.on()
    loaded.wait_predictions()
    for worker in workers:
        others = [other for other in workers if other is not worker]
        owned = worker.owned()
        before = [other.metric("forecart_rebalances_total") for other in others]
        assert worker.kill(signal.SIGTERM) == 0
        worker.start()
        until(
            lambda worker=worker, owned=owned: worker.owned() == owned, f"{owned} taken again", 150
        )
        loaded.wait_predictions()
        assert [other.metric("forecart_rebalances_total") for other in others] == before
    loaded.check()


async def test_a_hundred_rebalances_during_open_transactions(loaded_here: Make, kafka: str) -> None:
    """A guest comes and goes fifty times; every other time it takes a partition with it."""
    loaded = loaded_here(**QUICK)
    settings = loaded.deployment.settings
    workers = [loaded.deployment.start(instance=instance) for instance in range(3)]
    loaded.wait_owned(0, 1, 2)
    own_topic = f"{settings.topic_prefix}guest"
    create_topics(kafka, [own_topic], 1)
    theirs = [settings.topic(n) for n in ("clicks", "searches", "purchases", "user-state")]
    storm = Storm(workers, Coordinator(kafka))
    loaded.load.on()
    taken = 0
    for visit in range(REBALANCES // 2):
        topics = theirs if visit % 2 else [own_topic]
        await asyncio.to_thread(storm.wait_open)
        async with visiting(kafka, settings.group, topics, QUICK["session_timeout_s"]) as given:
            taken += given
            await asyncio.to_thread(storm.wait_rebalanced)
            await asyncio.to_thread(storm.wait_open)
        await asyncio.to_thread(storm.wait_rebalanced)
    assert taken >= REBALANCES  # four topics' partitions a time, and one of its own
    loaded.wait_owned(0, 1, 2)
    loaded.wait_predictions()
    loaded.check()


class Storm:
    """Workers whose rebalances are counted, and what is waited for between two of them."""

    def __init__(self, workers: list[WorkerProcess], coordinator: Coordinator) -> None:
        self._workers = workers
        self._coordinator = coordinator
        self._seen = self._counts()

    def wait_open(self) -> None:
        """Wait until a worker's transaction is open."""

        def inside() -> bool:
            for worker in self._workers:
                worker.check_runs()
            phases = [self._coordinator.phase(worker.identity) for worker in self._workers]
            return any(phase in INSIDE for phase in phases)

        until(inside, "an open transaction")

    def wait_rebalanced(self) -> None:
        """Wait until every worker has taken part in another rebalance."""

        def more() -> bool:
            now = self._counts()
            return all(count > then for count, then in zip(now, self._seen, strict=True))

        until(more, f"another rebalance than {self._seen}")
        self._seen = self._counts()

    def _counts(self) -> list[float]:
        return [worker.metric("forecart_rebalances_total") for worker in self._workers]


def test_a_standby_is_promoted(loaded_here: Make) -> None:
    """It reads the tail alone, starts where the group stands, and has dropped who was erased."""
    loaded = loaded_here(standby_replicas=1, **QUICK)
    first = loaded.deployment.start(instance=0)
    second = loaded.deployment.start(instance=1)
    loaded.wait_owned(0, 1)
    loaded.load.on()
    loaded.wait_predictions()
    loaded.deployment.settled(
        loaded.load.off()
    )  # who comes back in the same commit is no tombstone
    loaded.wait_erased(loaded.erase(50))
    loaded.load.on()
    loaded.wait_predictions()
    lost = second.owned()
    second.kill()
    until(lambda: _agree(loaded, lost), "header and group that say the same")
    loaded.wait_owned(0)
    read, whole = _read_at_promotion(first, loaded, lost)
    print(f"offsets read at promotion: {read} of {whole}")
    assert read < 0.2 * whole
    loaded.wait_predictions(lost)
    loaded.check()


def _agree(loaded: Loaded, partitions: list[int]) -> bool:
    try:
        headers, committed = loaded.headers(), loaded.committed()
    except KafkaException:  # offsets of a transaction that is still open
        return False
    return all(headers[partition] == committed[partition] for partition in partitions)


def _read_at_promotion(
    worker: WorkerProcess, loaded: Loaded, partitions: list[int]
) -> tuple[int, int]:
    """Offsets of the changelog that were left to read, and all of them."""
    topic = loaded.deployment.settings.topic("user-state")
    told = re.findall(r"Reading active changelog partitions from (.*)", worker.said())[-1]
    starts = {int(p): int(at) for p, at in re.findall(r"partition=(\d+)\): (\d+)", told)}
    with Reader(worker.settings.broker) as reader:
        ends = {p: reader.ranges([topic])[topic, p][1] for p in partitions}
    return sum(ends[p] - starts[p] for p in partitions), sum(ends.values())
