"""One user who makes all events, beside uniform users: `python -m tests.bounds.hot`.

Rules of the room: the parts of a worker without Kafka (tests/bench/pipeline.py), by processor time.
With --bundle the shipped model scores, else the tests' integer scorer, which costs nothing a step.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.core.plan import Scorer
from stream.model.bundle import load_bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer
from stream.wire.records import columns_of
from tests.bench.pipeline import Measured, Pipeline
from tests.flow.fakes import serving
from tests.oracle.int_scorer import IntScorer
from tests.wire.samples import TIME_MS, changed, packed

BATCH_EVENTS: Final = 4_096
COMMIT_BATCHES: Final = 8
KINDS: Final = ("uniform", "one user", "one user, late", "hot: half of it one user")


def users_of(kind: str, first: int, count: int) -> list[str]:
    """Name the users of a batch."""
    if kind == "uniform":
        return [f"u{(first + n) * 7_919 % 50_000:07d}" for n in range(count)]
    if kind.startswith("hot"):
        return ["hot" if n % 2 else f"u{(first + n) * 7_919 % 50_000:07d}" for n in range(count)]
    return ["hot"] * count


def batch_of(kind: str, first: int) -> tuple[list[bytes], list[bytes]]:
    """Make keys and values of a batch of clicks; late ones go back by some events."""
    users = users_of(kind, first, BATCH_EVENTS)
    values = []
    for n, user in enumerate(users):
        back = 12 if kind.endswith("late") and n % 2 else 0
        event = changed(
            user_id=user, event_id=f"e-{first + n}", item_id=f"p{(first + n) % 997:05d}",
            event_time=TIME_MS + (first + n - back) * 10,
        )  # fmt: skip
        values.append(packed(event))
    return [user.encode() for user in users], values


def measure(kind: str, events: int, scorer: Scorer) -> Measured:
    """Put events through; two batches before them warm it up."""
    engine = Engine(EngineConfig(users_max=60_000, hidden_users_max=60_000), 0, BATCH_EVENTS)
    pipeline = Pipeline([engine], serving(scorer), BATCH_EVENTS, COMMIT_BATCHES * BATCH_EVENTS)
    for first in range(0, 2 * BATCH_EVENTS + events, BATCH_EVENTS):
        keys, values = batch_of(kind, first)
        offsets = range(first, first + BATCH_EVENTS)
        columns = columns_of(offsets, [2 * TIME_MS] * BATCH_EVENTS, keys, values)
        pipeline.feed(0, 0, columns)
    pipeline.run(2 * BATCH_EVENTS)
    measured = pipeline.run(events)
    pipeline.close()
    return measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line per kind, and the ratio to uniform users last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--bundle", action="store_true", help="score with the shipped model")
    options = parser.parse_args(arguments)
    costs: dict[str, Measured] = {}
    for kind in KINDS:
        scorer: Scorer = IntScorer()
        if options.bundle:
            bundle = load_bundle()
            scorer = OnnxScorer(bundle, open_graphs(bundle, "cpu"), items_top=0)
        costs[kind] = measure(kind, options.events, scorer)
        stages = " ".join(f"{name}={us:.2f}" for name, us in costs[kind].stages_us.items())
        print(f"{kind:26} {costs[kind].us_per_event:7.2f} us/event  {stages}", flush=True)
    base = costs["uniform"].us_per_event
    ratios = " ".join(
        f"{kind.replace(' ', '_').replace(',', '').replace(':', '')}={cost.us_per_event / base:.2f}"
        for kind, cost in costs.items()
    )
    print(f"events={options.events} ratio_to_uniform: {ratios}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
