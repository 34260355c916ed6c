"""One user who makes all events, beside uniform users: `python -m tests.bounds.hot`.

Rules of the room: decoding, applying, scoring, settling, encoding and the changelog, in one thread,
by processor time; the parts of a worker without Kafka. With --bundle the shipped model scores, else
the tests' integer scorer, which costs nothing a step.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from stream.core.config import EngineConfig
from stream.core.engine import Engine
from stream.core.layout import TOPICS, Outcome
from stream.core.plan import Scorer
from stream.core.results import Batch
from stream.model.bundle import load_bundle
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer
from stream.wire.decode import Decoder
from stream.wire.predictions import PredictionEncoder
from stream.wire.records import columns_of
from stream.wire.state import changelog
from tests.oracle.int_scorer import ITEMS_COUNT, IntScorer
from tests.wire.samples import TIME_MS, changed, packed

BATCH_EVENTS: Final = 4_096
COMMIT_BATCHES: Final = 8
KINDS: Final = ("uniform", "one user", "one user, late", "hot: half of it one user")


class Cost(NamedTuple):
    """us of processor time per event, and how they were spent."""

    us_per_event: float
    stages_us: dict[str, float]


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


def measure(kind: str, events: int, scorer: Scorer) -> Cost:
    """Put events through; the first two batches warm it up."""
    engine = Engine(EngineConfig(users_max=60_000, hidden_users_max=60_000), 0, BATCH_EVENTS)
    decoder = Decoder(1)
    items = [b"null", *(b'"i%d"' % number for number in range(max(ITEMS_COUNT, 5_000)))]
    encoder = PredictionEncoder(list(TOPICS), items, "m", "cpu", ("P7D", "P7D"))
    scorer.open(0, engine.config.hidden_users_max)
    spent = dict.fromkeys(("decode", "apply", "score", "settle", "encode", "changelog"), 0.0)
    done = 0
    for number in range(2 + -(-events // BATCH_EVENTS)):
        if number == 2:
            spent = dict.fromkeys(spent, 0.0)
            done = 0
        keys, values = batch_of(kind, number * BATCH_EVENTS)
        first = number * BATCH_EVENTS
        offsets = range(first, first + BATCH_EVENTS)
        columns = columns_of(offsets, [2 * TIME_MS] * BATCH_EVENTS, keys, values)
        clock = _Clock(spent)
        decoded = decoder.decode(0, 0, first, first + BATCH_EVENTS, columns)
        clock.note("decode")
        batch = Batch(decoded.events, decoded.steps, decoded.users)
        at = 0
        while at < BATCH_EVENTS:
            applied = engine.apply(batch, at)
            clock.note("apply")
            scores = scorer.score(0, applied.plan)
            clock.note("score")
            settled = engine.settle(applied, scores)
            clock.note("settle")
            rows = settled.rows[settled.rows["outcome"] == Outcome.PREDICTED]
            encoder.encode(0, rows, batch.users, settled.scores, settled.churn, TIME_MS)
            clock.note("encode")
            at = applied.rows_next
        if number % COMMIT_BATCHES == 0:
            changelog(engine, 1, {}, {})
            clock.note("changelog")
        done += BATCH_EVENTS
    scorer.close(0)
    stages = {name: seconds / done * 1e6 for name, seconds in spent.items()}
    return Cost(sum(stages.values()), stages)


class _Clock:
    """Adds processor time to the stage that has just ended."""

    def __init__(self, spent: dict[str, float]) -> None:
        self._spent = spent
        self._at = time.process_time()

    def note(self, stage: str) -> None:
        now = time.process_time()
        self._spent[stage] += now - self._at
        self._at = now


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line per kind, and the ratio to uniform users last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--bundle", action="store_true", help="score with the shipped model")
    options = parser.parse_args(arguments)
    costs: dict[str, Cost] = {}
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
