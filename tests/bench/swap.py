"""`python -m tests.bench.swap`: another model is activated under load; pauses, throughput, audit.

The worker, its broker and a producer at a fixed rate, as in tests/bench/run.py. After a third of
the time `forecart model activate` names the second bundle. Printed for the time before, during and
after: events/s; the longest pause, which is the time without a new prediction from the worker (by
`emitted_at`, over all partitions and within one); and the longest time between two commits, which
is what a reader of committed records sees. "During" is from the command's start until the first
commit after the last partition's first prediction of the new model. Ends with 1 where the audit
does not balance, a partition went back to the old model, or the pause is over the limit.
"""

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from stream.model.bundle import SHIPPED
from stream.model.shelf import version_in
from stream.shell.reader import Reader
from tests.bench import machine
from tests.bench.case import Case
from tests.bench.contenders import forecart
from tests.bench.one import delete_topics, make_inputs
from tests.bench.random_bundle import write_random
from tests.bench.run import OUTPUT, own_broker

PAUSE_MS_MAX: Final = 250
SETTLE_S: Final = 3.0  # at the start: not measured
SETTLE_AUDIT_S: Final = 10


class Said(msgspec.Struct):
    """What is read of a prediction."""

    emitted_at: int
    partition_seq: int
    model_version: str


@dataclass(slots=True)
class Run:
    """What was seen. Wall seconds."""

    begin_s: float
    asked_s: float  # `activate` was started
    end_s: float  # the producer's
    points: list[tuple[float, float, int, float]]  # of tests.bench.progress
    said: list[list[Said]]  # by partition
    log: str


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    options = _options(arguments)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    second = Path(options.second) if options.second else second_bundle(options.items)
    with own_broker() as bootstrap:
        case = Case(
            contender="forecart",
            mode="live",
            bootstrap=bootstrap,
            prefix=f"swap-{time.strftime('%Y%m%d-%H%M%S')}-",
            events=int(options.rate * options.seconds),
            rate=options.rate,
            profile=options.profile,
            bundle=options.first,
        )
        make_inputs(case)
        run, audit = measure(case, second, options.seconds / 3)
        delete_topics(case)
    first = version_in(Path(options.first) if options.first else SHIPPED)
    return show(case, run, (first, version_in(second)), audit)


def measure(case: Case, second: Path, activate_after_s: float) -> tuple[Run, str]:
    """Run the worker and the producer, activate in between, audit."""
    feed = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.feed", case.to_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    made = None
    try:
        if feed.stdout.readline().strip() != "built":
            raise RuntimeError("the producer did not get ready")
        made = forecart.setup(case)
        feed.stdin.write("go\n")
        feed.stdin.flush()
        asked: list[float] = []
        timer = threading.Timer(activate_after_s, lambda: asked.append(activate(made, second)))
        timer.start()
        settings = made.settings
        progress = forecart.watched(case, made)
        timer.join()
        sent = json.loads(feed.communicate(timeout=60)[0])
        said = predictions(case, settings.topic("predictions"), settings.partitions)
        run = Run(sent["begin"], asked[0], sent["end"], progress.points, said, made.log.read_text())
        audit = forecart.audit(made, SETTLE_AUDIT_S)
        line = (audit.stdout.strip().splitlines() or [audit.stderr.strip()])[-1]
        return run, f"{'balances' if audit.returncode == 0 else 'DOES NOT BALANCE'}: {line}"
    finally:
        if made is not None:
            forecart.teardown(case, made)
        feed.kill()
        feed.wait()


def activate(made: forecart.Made, bundle: Path) -> float:
    """Name another model, as an operator does; returns the wall time at which that began."""
    began = time.time()
    done = subprocess.run(
        [*forecart.FORECART, "model", "activate", str(bundle)],
        env=made.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout.strip() or done.stderr.strip(), file=sys.stderr)
    return began


def predictions(case: Case, topic: str, partitions: int) -> list[list[Said]]:
    """Read every prediction, by partition, in order."""
    decoder = msgspec.json.Decoder(Said)
    said: list[list[Said]] = [[] for _ in range(partitions)]
    with Reader(case.bootstrap) as reader:
        for record in reader.records(reader.ranges([topic])):
            said[record.partition].append(decoder.decode(record.value or b""))
    return said


def show(case: Case, run: Run, versions: tuple[str, str], audit: str) -> int:
    """Print what was seen; returns the exit status."""
    firsts = [_first_of(messages, versions) for messages in run.said]
    if not any(m.model_version == versions[1] for messages in run.said for m in messages):
        print(f"audit {audit}\nno event was left when the model changed: more --seconds")
        return 1
    once = all(first is not None for first in firsts)
    changed_s = max((first or 0) for first in firsts) / 1000
    seen_s = min((wall for _, wall, *_ in run.points if wall > changed_s), default=changed_s)
    phases = {
        "before": (run.begin_s + SETTLE_S, run.asked_s),
        "during": (run.asked_s, seen_s),
        "after": (seen_s, run.end_s),
    }
    about = machine.card()
    print(
        f"{about['processor']}, {about['cores']} cores, commit {about['commit']}, load before"
        f" {about['load_before']:.1f}; {case.rate:,.0f} events/s sent, profile {case.profile};"
        " synthetic load"
    )
    print(f"{versions[0]} -> {versions[1]}")
    print("\n".join(line for line in run.log.splitlines() if " serves instead of " in line))
    print(f"{'':8}{'s':>7}{'events/s':>10}{'pause, all':>12}{'one part.':>11}{'commits':>9}  ms")
    longest = {}
    for name, (begin_s, end_s) in phases.items():
        if end_s <= begin_s:  # the producer ended during the change
            print(f"{name:8}{'none':>7}")
            continue
        rate, commit_ms = _commits(run.points, begin_s, end_s)
        every = _pause_ms(run.said, begin_s, end_s)
        one = max(_pause_ms([messages], begin_s, end_s) for messages in run.said)
        longest[name] = every, one
        print(f"{name:8}{end_s - begin_s:7.1f}{rate:10,.0f}{every:12,}{one:11,}{commit_ms:9,}")
    print(f"every partition changed once, at one row: {'yes' if once else 'NO'}")
    print(f"audit {audit}")
    short = longest["during"][1] <= PAUSE_MS_MAX
    print(f"longest pause during the change: {longest['during'][1]} ms, limit {PAUSE_MS_MAX} ms")
    return int(not (once and short and audit.startswith("balances")))


def _first_of(messages: Sequence[Said], versions: tuple[str, str]) -> int | None:
    """Tell when a partition changed, epoch ms; None unless it did so once."""
    said = [message.model_version for message in messages]
    if versions[1] not in said:
        return None
    first = said.index(versions[1])
    in_order = said == [versions[0]] * first + [versions[1]] * (len(said) - first)
    return messages[first].emitted_at if in_order else None


def _pause_ms(said: Sequence[Sequence[Said]], begin_s: float, end_s: float) -> int:
    """Find the longest time without a prediction within a phase, its edges counted."""
    times = np.unique([message.emitted_at for messages in said for message in messages])
    inside = times[(times >= begin_s * 1000) & (times <= end_s * 1000)]
    if not len(inside):
        return int((end_s - begin_s) * 1000)
    return int(np.diff(inside).max(initial=0))


def _commits(
    points: Sequence[tuple[float, float, int, float]], begin_s: float, end_s: float
) -> tuple[float, int]:
    """Give events/s and the longest time between two commits within a phase."""
    walls = np.array([point[1] for point in points])
    counts = np.array([point[2] for point in points])
    inside = np.flatnonzero((walls >= begin_s) & (walls <= end_s))
    if len(inside) < 2:
        return float("nan"), int((end_s - begin_s) * 1000)
    seconds = walls[inside[-1]] - walls[inside[0]]
    rate = (counts[inside[-1]] - counts[inside[0]]) / seconds
    return float(rate), int(np.diff(walls[inside]).max() * 1000)


def second_bundle(items: int) -> Path:
    """Make a bundle of random weights, once."""
    folder = OUTPUT / f"second-{items}"
    if not folder.exists():
        work = folder.with_suffix(".new")
        shutil.rmtree(work, ignore_errors=True)
        write_random(work, items, seed=2)
        work.rename(folder)
    return folder


def _options(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.swap", description=__doc__)
    parser.add_argument("--rate", type=float, default=10_000.0, help="events/s sent")
    parser.add_argument("--seconds", type=float, default=45.0, help="of the producer")
    parser.add_argument("--profile", choices=("step", "full"), default="full", help="with items?")
    parser.add_argument("--first", default="", help="bundle at the start; default: the shipped")
    parser.add_argument("--second", default="", help="bundle activated; default: random weights")
    parser.add_argument("--items", type=int, default=2_000, help="of the random one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
