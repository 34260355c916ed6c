"""Bytewax: a keyed stateful map between its Kafka source and its Kafka sink.

At least once: its Kafka sink has no transactions. State is not in Kafka either but in its recovery
store, a SQLite file on this machine, a snapshot of what was touched in each epoch.
"""

import json
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from tests.bench.rivals.job import COMMIT_S, INPUTS, State, case_of_arguments, padding, step

CONSUME_MAX = 10_000  # the sink flushes after each: 2.6 times the rate with the default 1,000


def flow_of(case: dict) -> Dataflow:
    """Lay the steps out."""
    pad = padding(case)
    brokers = [case["bootstrap"]]
    flow = Dataflow("bench")
    source = KafkaSource(
        brokers,
        [case["prefix"] + name for name in INPUTS],
        batch_size=CONSUME_MAX,
        add_config={"fetch.wait.max.ms": "20"},
    )

    def keyed(message: KafkaSourceMessage) -> tuple[str, bytes]:
        return message.key.decode(), message.value

    def predict(state: State | None, value: bytes) -> tuple[State, dict]:
        return step(state, json.loads(value), pad)

    def message_of(pair: tuple[str, dict]) -> KafkaSinkMessage:
        return KafkaSinkMessage(pair[0].encode(), json.dumps(pair[1]).encode())

    events = op.map("key", op.input("events", flow, source), keyed)
    predictions = op.stateful_map("predict", events, predict)
    sink = KafkaSink(
        brokers,
        case["prefix"] + "predictions",
        add_config={
            "acks": "all",
            "enable.idempotence": "true",
            "linger.ms": "5",
            "batch.size": str(1 << 20),
            "queue.buffering.max.messages": "1000000",
        },
    )
    op.output("predictions", op.map("message", predictions, message_of), sink)
    return flow


def main() -> None:
    """Run until asked to end."""
    case = case_of_arguments()
    folder = Path(case["state_dir"])
    init_db_dir(folder, 1)
    cli_main(
        flow_of(case),
        workers_per_process=1,
        epoch_interval=timedelta(seconds=COMMIT_S),
        recovery_config=RecoveryConfig(str(folder)),
    )


if __name__ == "__main__":
    main()
