"""PyFlink: a keyed process function with a value state between Kafka source and sink, exactly-once.

A small cluster in this process's JVM, checkpoints on this machine's disk; Python in the JVM's own
process (its thread mode, made for throughput) and larger bundles.
"""

import json
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyflink.common import Configuration, Types, WatermarkStrategy
from pyflink.common.serialization import SimpleStringSchema
from pyflink.datastream import (
    KeyedProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
)
from pyflink.datastream.state import ValueStateDescriptor

from tests.bench.rivals.job import COMMIT_S, INPUTS, case_of_arguments, padding, step

TRANSACTION_MS = 60_000  # above a checkpoint's time, below the broker's maximum


class Predict(KeyedProcessFunction):
    """Takes the events of a user one by one."""

    def __init__(self, pad: str) -> None:
        self._pad = pad
        self._state: Any = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Take the state's handle."""
        descriptor = ValueStateDescriptor("user-state", Types.STRING())
        self._state = runtime_context.get_state(descriptor)

    def process_element(self, value: str, _: KeyedProcessFunction.Context) -> Iterator[str]:
        """Take an event, give its prediction."""
        held = self._state.value()
        after, prediction = step(json.loads(held) if held else None, json.loads(value), self._pad)
        self._state.update(json.dumps(after))
        yield json.dumps(prediction)


def main() -> None:
    """Run until killed."""
    case = case_of_arguments()
    # The interpreter inside the JVM does not know of the environment that started it.
    os.environ["PYTHONPATH"] = os.pathsep.join([sysconfig.get_path("purelib"), str(Path.cwd())])
    settings = Configuration()
    for name, value in {
        "pipeline.jars": f"file://{sys.argv[-2]}",
        "parallelism.default": "1",
        "python.executable": sys.executable,
        "python.execution-mode": "thread",
        "restart-strategy.type": "none",
        "python.fn-execution.bundle.size": "10000",
        "python.fn-execution.bundle.time": "100",
        "execution.checkpointing.interval": f"{int(COMMIT_S * 1000)} ms",
        "execution.checkpointing.dir": f"file://{case['state_dir']}",
        "state.backend.type": "hashmap",
    }.items():
        settings.set_string(name, value)
    flow = StreamExecutionEnvironment.get_execution_environment(settings)
    source = (
        KafkaSource.builder()
        .set_bootstrap_servers(case["bootstrap"])
        .set_topics(*(case["prefix"] + name for name in INPUTS))
        .set_group_id(case["prefix"] + "flink")
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_value_only_deserializer(SimpleStringSchema())
        .build()
    )
    record = (
        KafkaRecordSerializationSchema.builder()
        .set_topic(case["prefix"] + "predictions")
        .set_value_serialization_schema(SimpleStringSchema())
        .build()
    )
    sink = (
        KafkaSink.builder()
        .set_bootstrap_servers(case["bootstrap"])
        .set_record_serializer(record)
        .set_delivery_guarantee(DeliveryGuarantee.EXACTLY_ONCE)
        .set_transactional_id_prefix(case["prefix"] + "flink")
        .set_property("transaction.timeout.ms", str(TRANSACTION_MS))
        .set_property("linger.ms", "5")
        .set_property("batch.size", str(1 << 18))
        .build()
    )
    events = flow.from_source(source, WatermarkStrategy.no_watermarks(), "events")
    keyed = events.key_by(lambda value: json.loads(value)["user_id"], Types.STRING())
    keyed.process(Predict(padding(case)), Types.STRING()).sink_to(sink)
    flow.execute("bench")


if __name__ == "__main__":
    main()
