"""Run one case in this process, which is a fresh one: `python -m tests.bench.one CASE_AS_JSON`.

The last line printed is the result as JSON. The input topics are made here, the same for everybody.
"""

import importlib
import json
import subprocess
import sys
import time
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic

from stream.core.layout import TOPICS
from tests.bench.case import Case, Contender, Result
from tests.bench.load import Load, Sender
from tests.bench.progress import Progress

DELETE_S = 30.0
CONTENDERS = "tests.bench.contenders."


def run(case: Case) -> Result:
    """Make the input, let the contender take it, clean up."""
    module: Any = importlib.import_module(CONTENDERS + case.contender)
    contender: Contender = module
    make_inputs(case)
    feed: subprocess.Popen[str] | None = None
    made = None
    try:
        if case.mode == "drain":
            fill(case)
        else:
            feed = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.feed", case.to_json()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            if feed.stdout.readline().strip() != "built":
                raise RuntimeError("the feed did not get ready")
        made = contender.setup(case)
        try:
            if feed is not None:
                feed.stdin.write("go\n")
                feed.stdin.flush()
            result = contender.run(case, made)
        finally:
            contender.teardown(case, made)
        if feed is not None:
            text, _ = feed.communicate(timeout=60)
            result["feed"] = json.loads(text)
            if "points" in result:
                result |= while_fed(result, result["feed"]["end"])
        return result
    finally:
        if feed is not None and feed.poll() is None:
            feed.kill()
            feed.wait()
        delete_topics(case)


def while_fed(result: Result, end_s: float) -> Result:
    """Give the rate while the producer ran, and how far behind the contender was at its end."""
    events, seconds, cpu_s = Progress(result["points"]).rate(until_wall_s=end_s)
    committed = max(point[2] for point in result["points"] if point[1] <= end_s)
    return {
        "events": events,
        "seconds": seconds,
        "events_per_second": events / seconds,
        "cpu_us_per_event": cpu_s / events * 1e6,
        "events_per_second_to_the_end": result["events_per_second"],
        "lag_at_feed_end": result["feed"]["events"] - committed,
    }


def make_inputs(case: Case) -> None:
    """Create the three input topics."""
    admin = AdminClient({"bootstrap.servers": case.bootstrap})
    config = {"retention.ms": "-1", "max.message.bytes": str(4 << 20)}
    topics = [
        NewTopic(case.prefix + name, case.card.partitions, 1, config=config) for name in TOPICS
    ]
    for future in admin.create_topics(topics).values():
        future.result(30)


def fill(case: Case) -> None:
    """Write the whole load before anything is measured."""
    sender = Sender(case.bootstrap, case.prefix, case.compression)
    for block in Load(case.card, case.events, int(time.time() * 1000)).blocks():
        sender.send(block)
    sender.flush()


def delete_topics(case: Case) -> None:
    """Delete every topic of the case, a rival's inner ones too."""
    admin = AdminClient({"bootstrap.servers": case.bootstrap})
    names = [name for name in admin.list_topics(timeout=10).topics if case.prefix in name]
    if names:
        for future in admin.delete_topics(names).values():
            future.result(DELETE_S)


if __name__ == "__main__":
    print(json.dumps(run(Case.from_json(sys.argv[1]))))
