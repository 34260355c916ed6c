"""Stock Faust: an agent over topics of JSON events, a table, a send per event.

At least once: `exactly_once` of faust-streaming 0.15.3 leaves what an agent sends outside the
transaction (FAUST issue 177), so it would cost and not hold.
"""

import sys

import faust

from tests.bench.rivals.job import COMMIT_S, INPUTS, case_of_arguments, padding, step

case = case_of_arguments()
pad = padding(case)
prefix = case["prefix"]
app = faust.App(
    prefix + "faust",
    broker="kafka://" + case["bootstrap"],
    store="memory://",
    datadir=case["state_dir"],
    topic_partitions=case["card"]["partitions"],
    topic_disable_leader=True,
    broker_commit_interval=COMMIT_S,
    producer_linger=0.005,
    producer_max_batch_size=1 << 20,
    consumer_auto_offset_reset="earliest",
    stream_wait_empty=False,
    web_enabled=False,
)
events = app.topic(
    *(prefix + name for name in INPUTS), key_type=str, key_serializer="raw", value_serializer="json"
)
predictions = app.topic(
    prefix + "predictions", key_type=str, key_serializer="raw", value_serializer="json"
)
states = app.Table("user-state", default=None)


@app.agent(events)
async def predict(stream: faust.StreamT) -> None:
    """Take the events one by one."""
    async for key, event in stream.items():
        states[key], prediction = step(states.get(key), event, pad)
        await predictions.send(key=key, value=prediction)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--loglevel", "warn", "--without-web"]
    app.main()
