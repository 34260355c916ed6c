"""The soak on a real broker: a worker process under load, looked at from outside."""

import subprocess
import tempfile
import time
from http.client import HTTPException
from pathlib import Path
from typing import Final

import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from stream.local.kafka import EmbeddedKafka
from stream.settings import Settings
from stream.wire.topics import INPUTS
from tests.bounds.churning import BAD_SHARE, Churn
from tests.bounds.soak import (
    COST_GROWTH_MAX,
    COUNT_GROWTH_MAX,
    MEMORY_GROWTH_MAX,
    USERS_MAX,
    Samples,
    WorkerEndedError,
)
from tests.deployment import Deployment, WorkerProcess

REAL: Final = {
    "rss_mib": MEMORY_GROWTH_MAX, "us_per_event": COST_GROWTH_MAX, "lag": 1.0,
    "threads": COUNT_GROWTH_MAX, "fds": COUNT_GROWTH_MAX,
}  # fmt: skip
PARTITIONS: Final = 2
TICK_S: Final = 0.1
DEAD_SHARE_MAX: Final = 2 * BAD_SHARE  # more: the load is not what it is meant to be
SAMPLES_COUNT: Final = 120
ENDING_S: Final = 5.0  # a worker that does not answer may be about to end
KEPT_MS: Final = 120_000  # of the topics, so that an hour fits a small disk


def soak_real(seconds: float, rate: float) -> tuple[Samples, str]:
    """Feed a worker for so long; gives its samples and what it did, as text."""
    with tempfile.TemporaryDirectory(prefix="forecart-soak-") as name:
        folder = Path(name)
        broker = EmbeddedKafka(folder / "kafka")
        settings = Settings(
            broker=broker.up(), topic_prefix="soak-", group="soak", partitions=PARTITIONS,
            users_max=USERS_MAX // PARTITIONS, hidden_users_max=USERS_MAX // 8, provider="cpu",
            web_port=0, state_dir=str(folder),
        )  # fmt: skip
        deployment = Deployment(settings)
        try:
            keep_little(settings)
            worker = deployment.start()
            worker.wait_until_it_runs(180)
            return watched(worker, settings, seconds, rate)
        except (AssertionError, OSError, HTTPException, psutil.Error) as error:
            raise ended(worker, error) from error
        finally:
            deployment.stop()
            broker.down()


def ended(worker: WorkerProcess, error: Exception) -> Exception:
    """Say how the worker ended, if that is why it could not be asked."""
    try:
        code = worker.ended(ENDING_S)
    except subprocess.TimeoutExpired:
        return error
    last = worker.said().strip().rpartition("\n")[2]
    return WorkerEndedError(f"the worker ended with {code}: {last}")


def watched(
    worker: WorkerProcess, settings: Settings, seconds: float, rate: float
) -> tuple[Samples, str]:
    """Send at a rate and take samples."""
    assert worker.process is not None
    process = psutil.Process(worker.process.pid)
    feed = Feed(settings, rate)
    samples = Samples()
    began = time.monotonic()
    every_s = seconds / SAMPLES_COUNT
    due, cpu_s, events = began + every_s, _cpu_s(process), processed(worker)
    while (now := time.monotonic()) < began + seconds:
        feed.up_to(now - began)
        if now < due:
            time.sleep(TICK_S)
            continue
        worker.check_runs()
        spent_s, done = _cpu_s(process), processed(worker)
        if done > events:
            samples.add(
                now - began,
                rss_mib=process.memory_info().rss / (1 << 20),
                us_per_event=(spent_s - cpu_s) / (done - events) * 1e6,
                lag=worker.metric("forecart_consumer_lag_records"),
                threads=process.num_threads(),
                fds=process.num_fds(),
            )
        cpu_s, events, due = spent_s, done, due + every_s
    dead = worker.metric("forecart_dead_letters_total")
    assert dead < DEAD_SHARE_MAX * events, f"{dead:.0f} of {events:.0f} events are dead letters"
    evicted = worker.metric("forecart_state_evictions_total")
    text = f"events={events:.0f} per_s={events / seconds:.0f} evicted={evicted:.0f} dead={dead:.0f}"
    return samples, text


class Feed:
    """Events at a rate, of users of whom most are new."""

    def __init__(self, settings: Settings, rate: float) -> None:
        self._rate = rate
        self._sent = 0
        self._topics = [settings.topic(name) for name in INPUTS]
        self._churn = Churn(start_ms=int(time.time() * 1000), event_ms=1000 / rate)
        self._producer = Producer({
            "bootstrap.servers": settings.broker, "partitioner": "murmur2_random", "linger.ms": 20,
        })  # fmt: skip

    def up_to(self, seconds: float) -> None:
        """Send what is due."""
        count = int(seconds * self._rate) - self._sent
        self._sent += count
        for topic, records in enumerate(self._churn.records(count)):
            for key, value in records:
                self._producer.produce(self._topics[topic], value, key)
        self._producer.poll(0)


def processed(worker: WorkerProcess) -> float:
    """Rows that have an outcome."""
    return worker.metric("forecart_events_processed_total")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def keep_little(settings: Settings) -> None:
    """Let the broker throw old records away soon."""
    admin = AdminClient({"bootstrap.servers": settings.broker})
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith("soak-")]
    for future in admin.incremental_alter_configs(
        [_brief(name) for name in sorted(names)]
    ).values():
        future.result(30)


def _brief(topic: str) -> ConfigResource:
    values = {"segment.ms": KEPT_MS // 2, "segment.bytes": 16 << 20}
    if not topic.endswith("user-state"):
        values["retention.ms"] = KEPT_MS
    entries = [
        ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
        for name, value in values.items()
    ]
    return ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
