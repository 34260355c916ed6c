"""`python -m tests.bench.scale --axis NAME`: what an event costs, one number of the card varied.

All points of an axis are in one process and take turns, so that what disturbs the machine disturbs
all of them; by processor time. Results go to build/bench; `python -m tests.bench.curves` draws.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench import machine
from tests.bench.card import Card
from tests.bench.loaded import Setup, loaded
from tests.bench.memory import figures
from tests.bench.present import spread
from tests.bench.random_bundle import OUTPUT
from tests.bench.user_bytes import resident_bytes

USER_BYTES: Final = 2_400  # docs/scaling.md says more
HIDDEN_BYTES: Final = 800  # of a user whose (h, c) is kept
SPARE_BYTES: Final = 4 << 30  # left to the load, to arrays that double, to others


@dataclass(frozen=True, slots=True)
class Axis:
    """What is varied, and the value that is the card's."""

    title: str
    values: tuple[int, ...]
    card_value: int
    setup: Callable[[int], Setup]
    events: int = 30_000  # of a round


def _users(value: int) -> Setup:
    return Setup(card=Card(users=value))


def _users_kept(value: int) -> Setup:
    return Setup(card=Card(users=value), hidden_users_max=value)


def _window(value: int) -> Setup:
    return Setup(card=Card(window_steps=value, refresh_steps=value // 2))


def _items(value: int) -> Setup:
    return Setup(items=value, items_top=10, commit_events=10_000)


def _event_bytes(value: int) -> Setup:
    return Setup(card=Card(event_bytes=value))


def _batch(value: int) -> Setup:
    return Setup(rows_max=value)


AXES: Final = {
    "users": Axis(
        "users", (10_000, 50_000, 200_000, 500_000, 1_000_000, 2_000_000), 50_000, _users
    ),
    "users-kept": Axis(
        "users, (h, c) of all of them kept", (10_000, 50_000, 200_000, 500_000, 1_000_000), 50_000,
        _users_kept,
    ),
    "window": Axis("steps of a window, W = 2 L", (16, 32, 64, 128), 32, _window),
    "items": Axis(
        "items, the ten best of them", (1_000, 2_000, 5_000, 20_000, 43_000, 100_000, 200_000),
        2_000, _items, events=10_000,
    ),
    "event-bytes": Axis("bytes of an event", (200, 500, 1_000, 2_000), 200, _event_bytes),
    "batch": Axis("rows of a batch", (8, 32, 128, 512, 2_048, 4_096, 8_192), 4_096, _batch),
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure an axis and keep it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--axis", choices=list(AXES), required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=0, help="of a round; default: the axis's own")
    parser.add_argument(
        "--values", type=_values, default=(), metavar="N[,N]",
        help="others than the axis's own; the card's value is always with them",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    axis = AXES[options.axis]
    values = sorted({axis.card_value, *(options.values or axis.values)})
    if options.axis in {"users", "users-kept"}:
        values = that_fit(axis, values, _memory_bytes())
    report = {
        "axis": options.axis,
        "card_value": axis.card_value,
        "machine": machine.card(),
        "points": measure(axis, values, options.events or axis.events, options.rounds),
    }
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"scale-{options.axis}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(report, indent=1))
    for point in report["points"]:
        costs = [run["cpu_us_per_event"] for run in point["runs"]]
        print(f"{point['value']:>12,} {spread(costs, '{:.2f}')} us an event")
    print(f"all of it: {path}")
    return 0


def measure(axis: Axis, values: list[int], events: int, rounds: int) -> list[dict[str, Any]]:
    """Measure the values in turn, a warm round first."""
    points: list[dict[str, Any]] = []
    pipelines = []
    for value in values:
        before = resident_bytes()
        pipelines.append(loaded(axis.setup(value), events * (1 + rounds)))
        points.append({"value": value, "resident_bytes": resident_bytes() - before, "runs": []})
        print(f"{value:,} is loaded", file=sys.stderr)
    for number in range(1 + rounds):
        for point, pipeline in zip(points, pipelines, strict=True):
            run = figures(pipeline.run(events))
            if number:
                point["runs"].append(run)
        print(f"round {number} of {rounds}", file=sys.stderr)
    return points


def that_fit(axis: Axis, values: list[int], memory_bytes: int) -> list[int]:
    """Leave out the users that memory does not hold beside the smaller values; says so."""
    kept: list[int] = []
    needed_all = SPARE_BYTES
    for value in values:
        setup = axis.setup(value)
        rows = min(value, setup.hidden_users_max * setup.card.partitions)
        needed = needed_all + value * USER_BYTES + rows * HIDDEN_BYTES
        if needed <= memory_bytes:
            kept.append(value)
            needed_all = needed
        else:
            print(f"{value:,} users left out: {needed / 1e9:.1f} GB, {memory_bytes / 1e9:.1f} free")
    return kept


def _memory_bytes() -> int:
    text = Path("/proc/meminfo").read_text()
    return 1024 * int(text.partition("MemAvailable:")[2].split()[0])


def _values(text: str) -> tuple[int, ...]:
    return tuple(int(value) for value in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
