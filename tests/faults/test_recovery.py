"""Changelogs as a real broker leaves or damages them: restored whole, or refused by name."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from stream.flow.stops import ConsumerFailedError, RestoreError, WorkerStopError
from stream.local.kafka import EmbeddedKafka
from stream.shell.reader import Reader
from tests.deployment import until
from tests.faults.loaded import Loaded

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(400)]

# Compact whatever can be, at once, and keep no trace of what was erased.
EAGER = {
    "min.cleanable.dirty.ratio": "0.0", "max.compaction.lag.ms": "1", "segment.ms": "500",
    "delete.retention.ms": "0",
}  # fmt: skip
COMPACTED_S = 60.0  # Kafka's cleaner looks every 15 s

Make = Callable[..., Loaded]


def alter(loaded: Loaded, settings: dict[str, str]) -> None:
    topic = loaded.deployment.settings.topic("user-state")
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": loaded.deployment.settings.broker})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)


def records_and_offsets(loaded: Loaded) -> tuple[int, int, bool]:
    """Count records and offsets of the changelog; and whether some partition ends in a hole."""
    topic = loaded.deployment.settings.topic("user-state")
    with Reader(loaded.deployment.settings.broker) as reader:
        ranges = reader.ranges([topic], stable=False)
        lasts = dict.fromkeys(ranges, -1)
        count = 0
        for record in reader.records(ranges):
            lasts[record.topic, record.partition] = record.offset
            count += 1
    holes = any(lasts[place] < end - 2 for place, (_, end) in ranges.items())
    return count, sum(end for _, end in ranges.values()), holes


def abort_rows(loaded: Loaded, count: int) -> None:
    """Leave rows of a transaction that was aborted at the changelog's end."""
    settings = loaded.deployment.settings
    producer = Producer({"bootstrap.servers": settings.broker, "transactional.id": "other"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for number in range(count):
        for partition in loaded.partitions:
            key = b"user-%d" % (number % 7)
            producer.produce(settings.topic("user-state"), b"x" * 100, key, partition)
    producer.flush(30)
    producer.abort_transaction(30)


def test_markers_and_compaction_holes_up_to_the_end(loaded_here: Make) -> None:
    """Most offsets of the changelog hold nothing, its last ones neither: the state is whole."""
    loaded = loaded_here()
    worker = loaded.deployment.start()
    loaded.wait_owned(0)
    alter(loaded, EAGER)
    loaded.load.on()
    loaded.wait_predictions()
    loaded.load.off()
    assert worker.kill(signal.SIGTERM) == 0
    abort_rows(loaded, 300)

    def compacted() -> bool:
        abort_rows(loaded, 1)  # a segment is closed by a write after its time
        count, offsets, _ = records_and_offsets(loaded)
        return count < 0.7 * offsets

    until(compacted, "compaction", COMPACTED_S)
    count, offsets, holes = records_and_offsets(loaded)
    assert holes
    worker.start()
    loaded.wait_owned(0)
    loaded.load.on()
    loaded.wait_predictions()
    loaded.check()
    print(f"records={count} of offsets={offsets}")


@pytest.mark.parametrize(
    ("topic", "stop"), [("user-state", RestoreError), ("clicks", ConsumerFailedError)]
)
def test_a_record_damaged_on_disk_is_never_passed_over(
    own_broker: EmbeddedKafka, loaded_on: Make, topic: str, stop: type[WorkerStopError]
) -> None:
    """One flipped bit in a segment: the worker ends with its code, again at each start."""
    loaded = loaded_on(own_broker.up())
    worker = loaded.deployment.start()
    loaded.wait_owned(0)
    loaded.load.on()
    loaded.wait_predictions()
    assert worker.kill(signal.SIGTERM) == 0
    loaded.load.off()
    own_broker.down()
    name = loaded.deployment.settings.topic(topic)
    flip_a_bit(own_broker.home / "data" / f"{name}-0" / f"{0:020}.log", last=topic == "clicks")
    own_broker.up()
    for _ in range(2):
        worker.start()
        code = worker.ended(90)
        assert code == stop.exit_code, worker.said()[-3000:]
        assert f"{name}[0]" in worker.said()


def flip_a_bit(segment: Path, *, last: bool) -> None:
    """Damage a record: among the first ones, or the last, which has not been read yet."""
    data = bytearray(segment.read_bytes())
    data[len(data) - 40 if last else len(data) // 2] ^= 0x10
    segment.write_bytes(data)
