"""`python -m tests.bench.latency`: from when an event was due to its readable prediction.

Open loop: the producer keeps to its plan whatever the worker does, and each record's timestamp is
the time at which the plan had it, so a stall delays all that was due in it (no coordinated
omission; Tene, "How not to measure latency"). The end is the wall clock at which a consumer has the
committed prediction in hand. Timestamps are whole ms. Printed per guarantee and rate: ms of the
median and higher, over what came after the first seconds; the audit must balance. With `--during`
something happens to the worker in the middle, and what was due from then on counts.
"""

import argparse
import re
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, Producer, TopicPartition

from stream.core.layout import TOPICS
from stream.shell.reader import Reader
from tests.bench import machine
from tests.bench.case import Case
from tests.bench.contenders import forecart
from tests.bench.incidents import INCIDENTS
from tests.bench.load import Block, Load, Message
from tests.bench.one import delete_topics, make_inputs
from tests.bench.run import own_broker

PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 100.0)
SETTLE_S: Final = 4.0  # at the start: not measured
TAIL_S: Final = 60.0  # for the last predictions to come
SETTLE_AUDIT_S: Final = 20
TICK_S: Final = 0.001
GOLDEN: Final = 0.6180339887
PREDICTED: Final = re.compile(r"predicted=(\d+)")
ID: Final = re.compile(rb'"prediction_id":"([^"]+)-(\d+)-(\d+)"')


class Seen(NamedTuple):
    """Predictions as they came."""

    arrived_ms: list[float]
    values: list[bytes]


def main(arguments: list[str] | None = None) -> int:
    """Measure each guarantee at each rate; 1 where an audit does not balance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", default="1000,10000", help="events/s, separated by commas")
    parser.add_argument("--seconds", type=float, default=20.0, help="of load, for each")
    parser.add_argument("--guarantees", default="exactly_once,at_least_once")
    parser.add_argument("--profile", choices=("step", "full"), default="full")
    parser.add_argument("--during", choices=tuple(INCIDENTS), default="nothing", help="what?")
    parser.add_argument("--stages", action="store_true", help="and where the worker's time went")
    options = parser.parse_args(arguments)
    about = machine.card()
    print(
        f"{about['processor']}, {about['cores']} cores, commit {about['commit']};"
        f" profile {options.profile}, during: {options.during}; synthetic load; ms"
    )
    print(f"{'':28}{'p50':>8}{'p90':>8}{'p99':>8}{'p99.9':>8}{'most':>8}{'rows':>10}  audit")
    wrong = 0
    with own_broker() as bootstrap:
        case = Case("forecart", "live", bootstrap, "", 0, profile=options.profile)
        for guarantee in options.guarantees.split(","):
            for rate in map(float, options.rates.split(",")):
                mine = replace(
                    case, prefix=f"late-{time.time_ns()}-", events=int(rate * options.seconds),
                    rate=rate, guarantee=guarantee,
                )  # fmt: skip
                latency_ms, stages_us, balanced = measure(mine, options.during)
                ms = "".join(f"{value:8.0f}" for value in np.percentile(latency_ms, PERCENTILES))
                print(
                    f"{guarantee:14} {rate:9,.0f}/s  {ms}{len(latency_ms):10,}"
                    f"  {'balances' if balanced else 'DOES NOT BALANCE'}",
                    flush=True,
                )
                if options.stages:
                    told = ", ".join(f"{name} {value:,.1f}" for name, value in stages_us.items())
                    print(f"    wall time, us an event: {told}", flush=True)
                wrong += not balanced
    return int(wrong > 0)


def measure(case: Case, during: str) -> tuple[npt.NDArray[np.float64], dict[str, float], bool]:
    """Run a worker under the load.

    Returns (n,) ms, what `forecart.stages_us` says and whether the audit balances.
    """
    happens_ms: list[float] = []

    def happen() -> None:
        happens_ms.append(time.time() * 1000)
        INCIDENTS[during](case, made)

    load = Load(case.card, case.events, int(time.time() * 1000))
    messages = [message for block in load.blocks() for message in dealt(block)]
    make_inputs(case)
    made = forecart.setup(case)
    seen, stop = Seen([], []), threading.Event()
    reading = threading.Thread(target=read, args=(case, seen, stop))
    incident = threading.Timer(case.events / case.rate / 2, happen)
    try:
        reading.start()
        incident.start()
        begin_ms, sent = send(case, messages)
        incident.join()
        until = time.monotonic() + TAIL_S
        while len(seen.values) < 0.98 * sent and time.monotonic() < until:
            time.sleep(0.1)
        audit = forecart.audit(made, SETTLE_AUDIT_S)
        predicted = int(PREDICTED.findall(audit.stdout)[-1])
        while len(seen.values) < predicted and time.monotonic() < until:
            time.sleep(0.1)
        if len(seen.values) < predicted:
            raise RuntimeError(f"read {len(seen.values)} of {predicted} predictions in time")
        stop.set()
        reading.join()
        from_ms = begin_ms + SETTLE_S * 1000 if during == "nothing" else happens_ms[0]
        stages_us = forecart.stages_us(made.settings.web_port)
        return latencies(case, seen, from_ms), stages_us, audit.returncode == 0
    finally:
        stop.set()
        forecart.teardown(case, made)
        delete_topics(case)


def dealt(block: Block) -> list[tuple[int, int, Message]]:
    """Deal a block's messages out, so that each partition's come evenly among the others'."""
    # A phase of its own for each partition: else those of equal rates would come in bursts.
    found = [
        ((number + place * GOLDEN % 1) / len(messages), code, partition, message)
        for place, ((code, partition), messages) in enumerate(block.items())
        for number, message in enumerate(messages)
    ]
    found.sort(key=lambda each: each[0])
    return [each[1:] for each in found]


def send(case: Case, messages: Sequence[tuple[int, int, Message]]) -> tuple[float, int]:
    """Send by the plan, in ticks, none before its time; returns the first ms and how many."""
    # Five requests under way, librdkafka's default: a sender's own queue is not what is measured.
    producer = Producer(
        {"bootstrap.servers": case.bootstrap, "enable.idempotence": True, "linger.ms": 1}
    )
    topics = [case.prefix + name for name in TOPICS]
    begin = time.time() + 0.5
    tick = max(1, round(case.rate * TICK_S))
    for first in range(0, len(messages), tick):
        piece = messages[first : first + tick]
        due = begin + (first + len(piece) - 1) / case.rate  # of the last
        time.sleep(max(0.0, due - time.time()))
        for number, (code, partition, message) in enumerate(piece, first):
            producer.produce(
                topics[code], message["value"], message["key"], partition,
                timestamp=int((begin + number / case.rate) * 1000),
            )  # fmt: skip
        producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("the load was not written")
    return begin * 1000, len(messages)


def read(case: Case, seen: Seen, stop: threading.Event) -> None:
    """Read committed predictions and note when they came; parsed later."""
    consumer = Consumer(
        {
            "bootstrap.servers": case.bootstrap, "group.id": "latency",
            "auto.offset.reset": "earliest", "enable.auto.commit": False, "fetch.wait.max.ms": 5,
        }
    )  # fmt: skip
    topic = case.prefix + "predictions"
    consumer.assign([TopicPartition(topic, number, 0) for number in range(case.card.partitions)])
    while not stop.is_set():
        # `consume` waits its whole time-out for as many as were asked for: poll for the first.
        first = consumer.poll(0.05)
        now_ms = time.time() * 1000
        for message in [] if first is None else [first, *consumer.consume(2_000, 0)]:
            if message.error() is None:
                seen.arrived_ms.append(now_ms)
                seen.values.append(message.value())
    consumer.close()


def latencies(case: Case, seen: Seen, from_ms: float) -> npt.NDArray[np.float64]:
    """Give (n,) ms of the predictions whose event was due from `from_ms` on."""
    due_ms: dict[tuple[bytes, int, int], int] = {}
    with Reader(case.bootstrap) as reader:
        topics = [case.prefix + name for name in TOPICS]
        for record in reader.records(reader.ranges(topics)):
            place = (record.topic.encode(), record.partition, record.offset)
            due_ms[place] = record.timestamp_ms
    found = []
    for arrived_ms, value in zip(seen.arrived_ms, seen.values, strict=True):
        name = ID.search(value)
        if name is None:
            raise RuntimeError(f"a prediction without an id: {value[:80]!r}")
        due = due_ms[name[1], int(name[2]), int(name[3])]
        if due >= from_ms:
            found.append(arrived_ms - due)
    return np.array(found)


if __name__ == "__main__":
    sys.exit(main())
