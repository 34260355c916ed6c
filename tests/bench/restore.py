"""`python -m tests.bench.restore --users 1000000`: how long a worker takes to have its state again.

The changelog is written once, as commits write it: each user once, full windows, all synthetic.
Then a worker restores it, over and over: a process of its own, with default settings, on a broker
on the same machine. Told are the seconds from the first records of a partition until all are
restored (the partitions' mean), those from its start until it runs, and what it takes in memory. In
the end a load of all these users is there, the worker is killed half-way, and started again:
seconds to its first commit, and until it commits nine tenths of what it did before.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Final

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from stream.commands.capacity_plan import MEASURED
from stream.settings import Settings
from stream.shell.producer import ProducerConfig, produce_all
from stream.wire.state import changelog
from stream.wire.topics import INPUTS, STATE
from tests.bench.alone import alone
from tests.bench.card import Card
from tests.bench.full_users import FullUsers
from tests.bench.load import Load, Sender
from tests.bench.present import spread
from tests.bench.progress import LOOK_S, committed
from tests.deployment import Deployment, WorkerProcess

Point = tuple[float, int]  # monotonic seconds, events committed

SHARE: Final = 10_000  # users of a partition in a transaction
DEADLINE_S: Final = 60.0
READY_S: Final = 300.0
BEFORE_S: Final = 5.0
AFTER_S: Final = 2.0  # a few commits
REGAINED: Final = 0.9
WORKER_BYTES: Final = MEASURED["worker_mb"].value * 1_000_000  # without its users
TARGETS: Final = {"restore_s": 10, "bytes_per_user": 2_048}
TARGETS_OF: Final = 1_000_000  # users


def main(arguments: list[str] | None = None) -> int:
    """Fill the changelog, then restore it several times."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.restore", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=1_000_000, help="of the load at the end")
    options = parser.parse_args(arguments)
    with alone("restore", users_max=options.users) as deployment:
        written = fill(deployment.settings, options.users)
        rounds = [restored(deployment, options.users, written) for _ in range(options.rounds)]
        regained = back_at_work(deployment, options.users, options.events)
    for what in rounds[0]:
        values = [done[what] for done in rounds]
        aimed = what in TARGETS and options.users == TARGETS_OF
        target = f", target {TARGETS[what]:,}" if aimed else ""
        print(f"{what}: {spread(values, '{:,.1f}')}{target}")
    print(" ".join(f"{what}={value:,.1f}" for what, value in regained.items()))
    return 0


def fill(settings: Settings, users: int) -> int:
    """Write the changelog and the group's offsets that go with it; returns its bytes."""
    full = FullUsers(Card(partitions=settings.partitions), users)
    offsets = {settings.topic(name): 0 for name in INPUTS}
    config = ProducerConfig(settings.broker)
    producer = Producer({**config.librdkafka(), "transactional.id": "fill"})
    producer.init_transactions(DEADLINE_S)
    written = 0
    for first in range(0, max(len(engine.state.users) for engine in full.engines), SHARE):
        producer.begin_transaction()
        for number, engine in enumerate(full.engines):
            part = slice(first, first + SHARE)
            engine.state.dirty[part] = engine.state.users["epoch"][part] != 0
            records = changelog(engine, settings.partitions, offsets, {}).records()
            keys, values = [key for key, _ in records], [value for _, value in records]
            produce_all(
                producer, settings.topic(STATE), number, keys, values, None,
                message_bytes_max=config.message_bytes_max, deadline_s=DEADLINE_S,
            )  # fmt: skip
            written += sum(map(len, keys)) + sum(len(value or b"") for value in values)
        producer.commit_transaction(DEADLINE_S)
    consumer = Consumer({"bootstrap.servers": settings.broker, "group.id": settings.group})
    places = [
        TopicPartition(name, number, 0) for name in offsets for number in range(settings.partitions)
    ]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()
    return written


def restored(deployment: Deployment, users: int, written: int) -> dict[str, float]:
    """Restore it once, in a new process."""
    worker = deployment.worker()
    began = time.monotonic()
    worker.start()
    worker.wait_until_it_runs(READY_S)
    ready_s = time.monotonic() - began
    assert worker.metric("forecart_state_users") == users
    assert worker.process is not None
    process = psutil.Process(worker.process.pid)
    times = process.cpu_times()
    # By partition: from its first records until all are restored.
    restore_s = worker.metric("forecart_recovery_duration_seconds_sum")
    restore_s /= deployment.settings.partitions
    memory = process.memory_info().rss
    worker.stop()
    return {
        "restore_s": restore_s,
        "start_to_running_s": ready_s,
        "MB_read": written / 1e6,
        "cpu_s": times.user + times.system,
        "bytes_per_user": (memory - WORKER_BYTES) / users,
    }


def back_at_work(deployment: Deployment, users: int, events: int) -> dict[str, float]:
    """Kill a worker in the middle of a load; how long until it commits as fast as before."""
    settings = deployment.settings
    sender = Sender(settings.broker, settings.topic_prefix)
    load = Load(Card(partitions=settings.partitions, users=users), events, time.time_ns() // 10**6)
    sent = sum(sender.send(block) for block in load.blocks())
    sender.flush()
    places = [(settings.topic(name), n) for name in INPUTS for n in range(settings.partitions)]
    worker = deployment.worker()
    with committed(settings.broker, settings.group, places) as done:
        worker.start()
        points = watched(worker, done, lambda points: points[-1][1] > sent // 2)
        before = rate_of(points, BEFORE_S)
        if not before:
            raise RuntimeError(f"half of the load took less than {BEFORE_S:g} s: more --events")
        worker.kill()
        killed = time.monotonic()
        worker.start()
        points = watched(
            worker, done,
            lambda points: points[-1][1] >= sent or rate_of(points, AFTER_S) > REGAINED * before,
        )  # fmt: skip
    moved = next(at for at, count in points if count > points[0][1])
    return {
        "events_per_s_before": before,
        "kill_to_first_commit_s": moved - killed,
        "kill_to_90_percent_s": points[-1][0] - killed,
        "events_per_s_then": rate_of(points, AFTER_S),
    }


def watched(
    worker: WorkerProcess, done: Callable[[], int], enough: Callable[[list[Point]], bool]
) -> list[Point]:
    """Look at what is committed until it is enough."""
    points = [(time.monotonic(), done())]
    deadline = points[0][0] + READY_S
    while not enough(points):
        worker.check_runs()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{points[-1][1]} events committed after {READY_S:g} s")
        time.sleep(LOOK_S)
        points.append((time.monotonic(), done()))
    return points


def rate_of(points: list[Point], seconds: float) -> float:
    """Give events a second over the last seconds; 0 before so many have passed."""
    at, count = points[-1]
    before = [point for point in points if point[0] <= at - seconds]
    return (count - before[-1][1]) / (at - before[-1][0]) if before else 0.0


if __name__ == "__main__":
    sys.exit(main())
