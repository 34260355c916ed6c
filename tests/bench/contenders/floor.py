"""The floor: librdkafka takes the events and writes two records for each, without any work.

The records have the sizes of the card, which are the means of what Forecart writes per event; they
are the same two objects each time. What no Python program with librdkafka can beat on this machine.
"""

import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from stream.core.layout import TOPICS
from tests.bench.case import Case, Result

CONSUME_MAX = 10_000
OUTPUTS = ("predictions", "user-state")


def setup(case: Case) -> None:
    """Create the two output topics."""
    admin = AdminClient({"bootstrap.servers": case.bootstrap})
    topics = [NewTopic(case.prefix + name, case.card.partitions, 1) for name in OUTPUTS]
    for future in admin.create_topics(topics).values():
        future.result(30)


def run(case: Case, _made: None) -> Result:
    """Take every event, write two records for each, wait until they are acknowledged."""
    consumer = Consumer(
        {
            "bootstrap.servers": case.bootstrap,
            "group.id": case.prefix + "floor",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
            "queued.max.messages.kbytes": 1 << 17,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": case.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1 << 18,
            "delivery.report.only.error": True,
        }
    )
    places = [
        TopicPartition(case.prefix + topic, partition, 0)
        for topic in TOPICS
        for partition in range(case.card.partitions)
    ]
    consumer.assign(places)
    full = case.profile == "full"
    prediction_bytes = case.card.prediction_full_bytes if full else case.card.prediction_bytes
    outputs = [
        (case.prefix + name, [{"key": b"u0000000", "value": b"x" * size}] * CONSUME_MAX)
        for name, size in zip(OUTPUTS, (prediction_bytes, case.card.state_bytes), strict=True)
    ]
    try:
        return _drain(case, consumer, producer, outputs)
    finally:
        consumer.close()


def _drain(
    case: Case,
    consumer: Consumer,
    producer: Producer,
    outputs: list[tuple[str, list[dict[str, bytes]]]],
) -> Result:
    taken, turn, begin = 0, 0, 0.0
    deadline = time.monotonic() + case.deadline_s
    cpu = 0.0
    while taken < case.events:
        messages = consumer.consume(CONSUME_MAX, 0.1)
        if not messages:
            if time.monotonic() > deadline:
                raise TimeoutError(f"floor: {taken} of {case.events} events")
            continue
        if begin == 0.0:
            begin, cpu = time.monotonic(), time.process_time()
        for message in messages:
            if message.error() is not None:
                raise RuntimeError(str(message.error()))
        taken += len(messages)
        turn += 1
        for topic, records in outputs:
            rest = len(messages)
            while rest:
                rest -= producer.produce_batch(
                    topic, records[:rest], partition=turn % case.card.partitions
                )
                if rest:
                    producer.poll(0.01)
        producer.poll(0)
    left = producer.flush(60)
    if left:
        raise RuntimeError(f"floor: {left} records unsent")
    seconds = time.monotonic() - begin
    return {
        "events": taken,
        "seconds": seconds,
        "events_per_second": taken / seconds,
        "cpu_us_per_event": (time.process_time() - cpu) / taken * 1e6,
    }


def teardown(_case: Case, _made: None) -> None:
    """Leave the topics to the runner, which deletes by prefix."""
