"""`python -m tests.bench.memory`: a worker's parts without Kafka and Java, per provider.

Chunks from memory through decoding, order, engine, scoring, encoding and the changelog, in one
thread. Wants CUDA beside the CPU where it is found, and says what is missing where it is not.
"""

import argparse
import json
import sys
import time
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from stream.model.providers import ProviderError, cuda_missing
from tests.bench import machine
from tests.bench.loaded import POLICIES, Setup, loaded
from tests.bench.pipeline import STAGES, Measured, Pipeline
from tests.bench.present import spread
from tests.bench.random_bundle import OUTPUT

ITEMS_TOP: Final = {"step": 0, "full": 10}  # by profile


def main(arguments: list[str] | None = None) -> int:
    """Measure. Returns 1 where a provider that is there cannot be used."""
    options = _options(arguments)
    console = Console(width=120, highlight=False)
    about = machine.card()
    console.print(
        f"{about['processor']}, {about['cores']} cores, commit {about['commit']}; synthetic load"
    )
    missing = cuda_missing() if "cuda" in options.providers else ""
    if missing:
        console.print(f"no CUDA here: {missing}; measured is the CPU alone")
    providers = [name for name in options.providers if name != "cuda" or not missing]
    setup = Setup(items=options.items, items_top=ITEMS_TOP[options.profile], rows_max=options.rows)
    try:
        runs = measure(setup, providers or ["cpu"], options.events, options.rounds)
    except ProviderError as error:
        console.print(f"cuda: {error}")
        return 1
    console.print(
        f"profile {options.profile}, {options.items:,} items, batches of up to {options.rows:,}"
        f" rows, {setup.card.users:,} users with full windows; medians of {options.rounds} rounds"
        " (lowest to highest)"
    )
    console.print(table(runs))
    path = OUTPUT / f"memory-{time.strftime('%Y%m%d-%H%M%S')}.json"
    report = {"machine": about, "profile": options.profile, "items": options.items, "runs": runs}
    path.write_text(json.dumps(report | {"cuda_missing": missing}, indent=1))
    console.print(f"all of it: {path}")
    return 0


def measure(
    setup: Setup, providers: list[str], events: int, rounds: int
) -> dict[str, list[dict[str, Any]]]:
    """Measure each provider in turn, a warm round first. Raises ProviderError."""
    pipelines = {name: loaded(setup, events * (1 + rounds), name) for name in providers}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in providers}
    for number in range(1 + rounds):
        for name, pipeline in pipelines.items():
            run = figures(pipeline.run(events))
            _check_provider(pipeline, name)
            if number:
                runs[name].append(run)
    return runs


def figures(measured: Measured) -> dict[str, Any]:
    """Say what a round came to. Rates are by wall time, stages by processor time."""
    middle, late = np.percentile(measured.batches_ms, [50, 99]).tolist()
    return {
        "events": measured.events,
        "events_per_second": measured.events / measured.wall_s,
        "steps_per_second": measured.steps / measured.wall_s,
        "steps_per_event": measured.steps / measured.events,
        "state_rows_per_event": measured.state_rows / measured.events,
        "state_bytes_per_event": measured.state_bytes / measured.events,
        "batch_rows": measured.events / len(measured.batches_ms),
        "batch_ms_p50": middle,
        "batch_ms_p99": late,
        "cpu_us_per_event": measured.us_per_event,
        "stages_us": measured.stages_us,
    }


def table(runs: dict[str, list[dict[str, Any]]]) -> Table:
    """Lay the providers side by side."""
    made = Table("", *runs)
    rows = (
        ("events/s", "events_per_second", "{:,.0f}"),
        ("model steps/s", "steps_per_second", "{:,.0f}"),
        ("rows a batch", "batch_rows", "{:,.0f}"),
        ("batch, ms, p50", "batch_ms_p50", "{:.2f}"),
        ("batch, ms, p99", "batch_ms_p99", "{:.2f}"),
        ("processor, us an event", "cpu_us_per_event", "{:.2f}"),
    )
    for title, key, form in rows:
        cells = [spread([run[key] for run in of_one], form) for of_one in runs.values()]
        made.add_row(title, *cells)
    for stage in STAGES:
        values = [[run["stages_us"][stage] for run in of_one] for of_one in runs.values()]
        made.add_row(f"  {stage}", *(spread(of_one, "{:.2f}") for of_one in values))
    return made


def _check_provider(pipeline: Pipeline, name: str) -> None:
    """Refuse what the device failed on: the CPU behind it did the rest."""
    in_use = pipeline.serving.scorer.provider
    if in_use != name:
        raise ProviderError(f"{name} failed on the way, {in_use} went on")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument(
        "--providers", type=_providers, default=list(POLICIES), metavar="NAME[,NAME]",
        help="of cpu, cuda; default: both",
    )  # fmt: skip
    parser.add_argument("--profile", choices=list(ITEMS_TOP), default="full")
    parser.add_argument("--items", type=int, default=2_000, help="of the bundle")
    parser.add_argument("--rows", type=int, default=4_096, help="of a batch, at most")
    parser.add_argument("--events", type=int, default=60_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args(arguments)


def _providers(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= set(POLICIES):
        raise argparse.ArgumentTypeError(f"{text!r}: of {', '.join(POLICIES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
