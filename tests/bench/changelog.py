"""`python -m tests.bench.changelog`: rows per user against delta blocks per commit (docs/adr/0003).

A broker of its own is filled with the state of all users; then commits follow at the card's rate as
one worker would make them, and in the end the log is restored into fresh engines, which must equal
the writer's. Only the changelog is measured: making events and moving the state on is outside.
`--memory` measures instead what a user costs in memory (docs/adr/0004).
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from stream.local.kafka import EmbeddedKafka
from stream.shell.producer import ProducerConfig
from tests.bench import machine
from tests.bench.card import Card
from tests.bench.changelog_log import COMMIT_S, Log, Spent, check_same
from tests.bench.changelog_schemes import Blocks, Rows
from tests.bench.full_users import FullUsers, new_engine
from tests.bench.user_bytes import show_memory

TEN_MINUTES_S: Final = 600.0
MB: Final = 1e6


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.changelog", description=__doc__)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of commits, per scheme")
    parser.add_argument("--rate", type=int, default=60_000, help="events/s")
    parser.add_argument("--scheme", choices=["rows", "blocks"], help="default: both")
    parser.add_argument(
        "--snapshot-commits", type=int, default=60, help="blocks: commits until all are written"
    )
    parser.add_argument("--compression", default=ProducerConfig("").compression)
    parser.add_argument("--memory", action="store_true", help="bytes per user in memory instead")
    options = parser.parse_args(arguments)
    about = machine.card()
    print(
        f"{about['processor']}, {about['cores']} cores, commit {about['commit']}, load before "
        f"{about['load_before']:.1f}; {options.users:,} users, Zipf {Card().users_exponent}, "
        f"full rings, compression {options.compression}; synthetic"
    )
    if options.memory:
        show_memory(options.users)
        return 0
    warm()
    home = Path(tempfile.mkdtemp(prefix="forecart-changelog-"))
    kafka = EmbeddedKafka(home)
    try:
        kafka.up()
        full = FullUsers(Card(), options.users)
        for scheme in (Rows, Blocks):
            if options.scheme in {None, scheme.name}:
                made = scheme(full, options.snapshot_commits)
                measure(Log(kafka, made, full, options.compression), options)
    finally:
        kafka.down()
        shutil.rmtree(home)
    return 0


def warm() -> None:
    """Compile what is measured."""
    full = FullUsers(Card(), 64)
    for scheme in (Rows(full, 1), Blocks(full, 1)):
        reader = scheme.reader(new_engine(full.card, 64, 0), 1024)
        reader(scheme.fill(0, 0, 1024))
        full.touch(64, 500)
        reader(scheme.commit(0))


def measure(log: Log, options: argparse.Namespace) -> None:
    """Measure a scheme and print its numbers."""
    name = log.scheme.name
    filled = log.fill()
    show(name, "fill: users/s", options.users / filled.seconds)
    show(name, "fill: MB on disk", log.disk_bytes() / MB)
    spent = log.run(options.rate, options.seconds)
    per_event = 1e6 / spent.events
    show(name, "events/s kept", spent.events / spent.elapsed_s)
    show(name, "events/s, commits back to back", spent.events / spent.seconds)
    show(name, "us CPU per event: worker, all", spent.cpu_s * per_event)
    show(name, "us CPU per event: worker, encode", spent.encode_cpu_s * per_event)
    show(name, "us CPU per event: broker, cleaner too", spent.broker_cpu_s * per_event)
    show(name, "records per event", spent.records / spent.events)
    show(name, "bytes per event before compression", spent.raw_bytes / spent.events)
    show(name, "MB/s before compression", spent.raw_bytes / spent.elapsed_s / MB)
    show(name, "MB/s into the log", spent.log_bytes / spent.elapsed_s / MB)
    show(name, "longest commit, s", spent.longest_s)
    show_size(name, spent, options)
    engines, restored = log.restore()
    check_same(log.full.engines, engines)
    for what, number in restored.items():
        show(name, f"restore: {what}", number)
    log.delete()


def show_size(name: str, spent: Spent, options: argparse.Namespace) -> None:
    """Print the log's size, and what its course says of ten minutes."""
    times, sizes = np.array(spent.sizes).T
    early = times < times[-1] / 2
    first, second = float(sizes[early].max()), float(sizes[~early].max())
    show(name, "MB on disk, each tenth", *(sizes[:: max(1, len(sizes) // 10)] / MB))
    show(name, "MB on disk at most, first half", first / MB)
    show(name, "MB on disk at most, second half", second / MB)
    if name == "blocks":
        # By its make the log holds one round at least and two at most.
        rounds = 2 * options.snapshot_commits * COMMIT_S
        rate = spent.log_bytes / spent.elapsed_s
        show(name, "MB after ten minutes at most: two rounds", rounds * rate / MB)
        return
    # The log rises and falls as the cleaner comes by; so peaks are compared, and one that still
    # grows is taken to grow as it did.
    ten = second + max(0.0, second - first) * (TEN_MINUTES_S / spent.elapsed_s - 1) * 2
    show(name, "MB after ten minutes at most, if peaks grow on so", ten / MB)


def show(name: str, what: str, *numbers: float) -> None:
    """Print one line, with the machine's load as it is."""
    texts = " ".join(f"{number:,.3g}" if number < 100 else f"{number:,.0f}" for number in numbers)
    print(f"{name:7}{what:58}{texts}   [load {os.getloadavg()[0]:.1f}]", flush=True)


if __name__ == "__main__":
    sys.exit(main())
