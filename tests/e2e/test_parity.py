"""`make parity`: a worker is killed half-way; then every digest and score is recomputed.

A shop of whose events 5 % come late and 3 % twice, on a broker of its own; minutes, not seconds.
A small form of it, without a worker, is in tests/commands/test_explain_command.py.
"""

import json
import subprocess
import threading

import pytest
from confluent_kafka import Producer

from stream.local.publish import Pace, Publisher, run_paced
from stream.local.shop import Shop
from stream.local.shop_faults import FaultRates
from stream.wire.topics import INPUTS
from tests.deployment import FORECART, Deployment, WorkerProcess, until
from tests.kafka_tools import read_all

EVENTS = 60_000
LIMIT_S = 200  # for the worker to come so far; 20 s where nothing else runs
FAULTS = FaultRates(duplicates=0.03, late=0.05)

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(600)]


def publish(made: Deployment) -> int:
    settings = made.settings
    publisher = Publisher(settings.broker, [settings.topic(name) for name in INPUTS])
    shop = Shop(17, users=1_000, items=500, partitions=settings.partitions, faults=FAULTS)
    try:
        return run_paced(
            publisher, shop.events(), Pace(), stop=threading.Event(), records_max=EVENTS
        ).records
    finally:
        publisher.close()


def recomputed(made: Deployment, *more: str) -> subprocess.CompletedProcess[str]:
    words = ("audit", "--scores", *more, "--broker", made.settings.broker)
    return subprocess.run(
        [*FORECART, *words, "--set", f"topic_prefix={made.settings.topic_prefix}"],
        capture_output=True, text=True, timeout=2 * LIMIT_S, check=False,
    )  # fmt: skip


def test_every_prediction_is_what_comes_out_again(deployment: Deployment) -> None:
    events = publish(deployment)
    worker = deployment.start()
    until(lambda: running(worker) and deployment.committed() > 0.4 * events, "40 %", LIMIT_S)
    worker.kill()
    worker.start()
    result = recomputed(deployment, "--settle", str(LIMIT_S))
    deployment.stop()
    print(result.stdout, result.stderr)
    assert result.returncode == 0
    found = dict(word.split("=") for word in result.stdout.splitlines()[-1].split()[1:])
    assert int(found["rows"]) == events
    told = found["predictions"]
    assert (found["digests_equal"], found["scores"], found["scores_equal"]) == (told, told, told)
    assert int(found["late"]) > 0.02 * events
    change_one(deployment)
    result = recomputed(deployment)
    print("one score changed:", result.stdout, result.stderr)
    assert result.returncode == 1
    assert "purchase_probability differs by 0.000200" in result.stdout


def running(worker: WorkerProcess) -> bool:
    worker.check_runs()
    return True


def change_one(made: Deployment) -> None:
    """Publish one prediction again, its purchase probability 0.0002 higher."""
    topic = made.settings.topic("predictions")
    message = read_all(made.settings.broker, topic)[1_000]
    note = json.loads(message.value())
    note["purchase_probability"] = round(note["purchase_probability"] + 0.0002, 6)
    producer = Producer({"bootstrap.servers": made.settings.broker})
    value = json.dumps(note, separators=(",", ":")).encode()
    producer.produce(topic, value, message.key(), message.partition())
    assert producer.flush(30) == 0
