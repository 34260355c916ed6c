"""`make kill`: a worker under load is killed at drawn moments; nothing may be lost or repeated.

Each run lets over 5,000 events a second go, kills the worker with SIGKILL at the moment that was
drawn for it, starts it again at once, and takes the time until the first new prediction can be
read; then the load is held, and the audit reads everything. Five runs share a deployment, whose
state grows. A run's result is a line in build/kill/results-SEED-CODE.jsonl; the same command goes
on where it ended, and begins anew once the sources have changed.
"""

import argparse
import random
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import msgspec

from stream.audit.run import Report, audit, wait_settled
from stream.local.kafka import EmbeddedKafka
from stream.settings import Settings
from stream.shell.reader import Reader
from tests.deployment import Deployment
from tests.faults.aims import AIMS, Aim, Strike, strike
from tests.faults.load import Load
from tests.faults.transactions import INSIDE, Coordinator, Phase
from tests.kafka_tools import delete_topics, taken_away, unique_prefix
from tests.sources import digest_of

RATE: Final = 5_200
RATE_MIN: Final = 5_000
USERS: Final = 100_000
SHARED: Final = 5  # runs on one deployment
INSIDE_SHARE_MIN: Final = 0.4  # of the kills: inside a transaction
SETTLE_S: Final = 120.0
FIRST_START_S: Final = 300.0  # it may have to compile
NEW_S: Final = 90.0  # for the first new prediction
FOLDER: Final = Path("build/kill")
SOURCES: Final = ("stream", "tests/faults")
_LOST: Final = ("no receipt", "no prediction", "no dead letter")
_REPEATED: Final = ("more than one", "overlap", "two outcomes", "in several predictions")


class Result(msgspec.Struct):
    """What a run came to. Counts of events and problems are of the whole deployment so far."""

    run: int
    aim: str
    phase: Phase  # of the transaction when the worker was killed
    restoring: bool
    rebalancing: bool
    deployment: str
    events: int
    rate: float  # events a second that were sent
    lost: int
    repeated: int
    other: int  # problems of other kinds
    restart_s: float  # from the kill to the first new prediction
    whole_s: float  # ... to a new prediction of every partition


class _Emitted(msgspec.Struct):
    emitted_at: int


_read_emitted = msgspec.json.Decoder(_Emitted).decode


def deck(seed: int, runs: int) -> list[Aim]:
    """Draw what each run aims at: all aims in their shares, in an order of chance."""
    cards = [aim for aim, share in AIMS.items() for _ in range(share)]
    dice = random.Random(seed)
    drawn: list[Aim] = []
    while len(drawn) < runs:
        dice.shuffle(cards)
        drawn += cards
    return drawn[:runs]


def new_s(deployment: Deployment, blow: Strike) -> tuple[float, float]:
    """Wait for predictions made after the kill; seconds to the first, and to one of each partition.

    Under this load each partition has events all the time.
    """
    waiting = set(range(deployment.settings.partitions))
    first_s = 0.0
    with Reader(deployment.settings.broker) as reader:
        for record in reader.follow(blow.positions):
            after_s = time.time() - blow.killed_s
            if record is not None:
                emitted_ms = _read_emitted(record.value or b"").emitted_at
                if emitted_ms >= blow.killed_s * 1000:
                    first_s = first_s or after_s
                    waiting.discard(record.partition)
            if not waiting:
                return first_s, after_s
            if after_s > NEW_S:
                break
    raise TimeoutError(f"no new prediction of partitions {waiting} within {NEW_S:.0f} s")


def sorted_problems(report: Report) -> tuple[int, int, int]:
    """Count what is lost, repeated and otherwise wrong; an event in flight for ever is lost."""
    texts = report.problems.shown
    lost = sum(any(word in text for word in _LOST) for text in texts)
    repeated = sum(any(word in text for word in _REPEATED) for text in texts)
    return report.total("in_flight") + lost, repeated, report.problems.count - lost - repeated


class Bench:
    """A deployment under load. A context: whatever it has started ends with it."""

    def __init__(self, bootstrap: str, folder: Path, seed: int) -> None:
        self._seed = seed
        self._ends = ExitStack()
        prefix = unique_prefix()
        settings = Settings(
            broker=bootstrap, topic_prefix=prefix, group=prefix, state_dir=str(folder),
            provider="cpu", web_port=0,
        )  # fmt: skip
        self.deployment = Deployment(settings)

    def __enter__(self) -> Self:
        settings = self.deployment.settings
        with ExitStack() as ends:
            ends.callback(delete_topics, settings.broker, settings.topic_prefix)
            ends.callback(self.deployment.stop)
            self.deployment.start()
            self.load = Load(settings.broker, settings.topic_prefix, self._seed, RATE, USERS)
            ends.callback(self.load.stop)
            self.coordinator = Coordinator(settings.broker)
            ends.callback(self.coordinator.close)
            self.deployment.worker().wait_until_it_runs(FIRST_START_S)
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def run(self, number: int, aim: Aim, dice: random.Random) -> Result:
        settings = self.deployment.settings
        sent_before, began = self.load.records, time.monotonic()
        self.load.on()
        blow = strike(self.deployment, self.coordinator, aim, dice)
        restart_s, whole_s = new_s(self.deployment, blow)
        sent = self.load.off() - sent_before
        rate = sent / (time.monotonic() - began)
        blow.leave()
        with Reader(settings.broker) as log:
            wait_settled(log, self.deployment.names, SETTLE_S)
            report = audit(log, self.deployment.names)
        lost, repeated, other = sorted_problems(report)
        for text in report.problems.shown:
            print("problem:", text)
        return Result(
            number, aim, blow.phase, blow.restoring, blow.rebalancing, settings.topic_prefix,
            sum(sum(row.values()) for row in report.counts.values()), round(rate), lost, repeated,
            other, round(restart_s, 2), round(whole_s, 2),
        )  # fmt: skip


def summary(results: Sequence[Result]) -> str:
    """Put all runs in one line."""
    events = {result.deployment: result.events for result in results}
    restarts = [result.restart_s for result in results]
    return (
        f"runs={len(results)} lost={sum(r.lost for r in results)}"
        f" repeated={sum(r.repeated for r in results)}"
        f" in_transaction={sum(r.phase in INSIDE for r in results)}"
        f" restoring={sum(r.restoring for r in results)} events={sum(events.values())}"
        f" restart_p50_s={statistics.median(restarts):.1f} restart_max_s={max(restarts):.1f}"
    )


def wrong(results: Sequence[Result]) -> list[str]:
    """Say what does not hold."""
    found = [
        f"run {r.run}: lost {r.lost}, repeated {r.repeated}, {r.other} other problems"
        for r in results
        if r.lost or r.repeated or r.other
    ]
    found += [f"run {r.run}: {r.rate:.0f} events/s" for r in results if r.rate < RATE_MIN]
    inside = sum(r.phase in INSIDE for r in results)
    if len(results) >= 10 and inside < INSIDE_SHARE_MIN * len(results):
        found.append(f"{inside} of {len(results)} kills were inside a transaction")
    return found


def play(path: Path, seed: int, runs: int) -> list[Result]:
    """Do the runs that have no result yet."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    results = [msgspec.json.decode(line, type=Result) for line in lines][:runs]
    if len(results) == runs:
        return results
    aims = deck(seed, runs)
    home = FOLDER / "broker"
    shutil.rmtree(home, ignore_errors=True)
    with taken_away(EmbeddedKafka(home)) as broker:
        bootstrap = broker.up()
        while len(results) < runs:
            first = len(results)
            folder = (FOLDER / f"deployment-{first}").absolute()
            folder.mkdir(parents=True, exist_ok=True)
            with Bench(bootstrap, folder, seed + first) as bench:
                for number in range(first, min(runs, first + SHARED)):
                    dice = random.Random(f"{seed} {number}")
                    results.append(bench.run(number, aims[number], dice))
                    with path.open("ab") as out:
                        out.write(msgspec.json.encode(results[-1]) + b"\n")
                    print(results[-1], flush=True)
            shutil.rmtree(folder)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kill", description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--anew", action="store_true", help="forget earlier results of the seed")
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all it started ends
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"results-{words.seed}-{digest_of(SOURCES)}.jsonl"
    if words.anew:
        path.unlink(missing_ok=True)
    results = play(path, words.seed, words.runs)
    faults = wrong(results)
    for text in faults:
        print("wrong:", text)
    print(
        f"rate_min={min(r.rate for r in results):.0f}"
        f" whole_p50_s={statistics.median(r.whole_s for r in results):.1f}"
        f" whole_max_s={max(r.whole_s for r in results):.1f}"
        f" rebalancing={sum(r.rebalancing for r in results)}"
    )
    print(summary(results))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
