"""Quix Streams: stateful apply over the three topics joined into one frame, exactly-once.

State is RocksDB with a changelog topic, as it comes. The clients get the floor's batches; the rest
is left at its defaults.
"""

from typing import Any

from quixstreams import Application, State

from tests.bench.rivals.job import COMMIT_S, INPUTS, case_of_arguments, padding, step

KEY = "user"


def main() -> None:
    """Run until asked to end."""
    case = case_of_arguments()
    pad = padding(case)
    app = Application(
        broker_address=case["bootstrap"],
        consumer_group=case["prefix"] + "quix",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=COMMIT_S,
        state_dir=case["state_dir"],
        loglevel="WARNING",
        consumer_extra_config={"fetch.wait.max.ms": 20, "queued.max.messages.kbytes": 1 << 17},
        producer_extra_config={
            "linger.ms": 5,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 1_000_000,
        },
    )

    def predict(event: dict[str, Any], state: State) -> dict[str, Any]:
        after, prediction = step(state.get(KEY), event, pad)
        state.set(KEY, after)
        return prediction

    topics = [app.topic(case["prefix"] + name, key_deserializer="str") for name in INPUTS]
    frame = app.dataframe(topics[0])
    for topic in topics[1:]:
        frame = frame.concat(app.dataframe(topic))
    frame = frame.apply(predict, stateful=True)
    frame.to_topic(app.topic(case["prefix"] + "predictions", key_serializer="str"))
    app.run()


if __name__ == "__main__":
    main()
