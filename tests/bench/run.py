"""`python -m tests.bench.run`: contenders in turn, each in a fresh process.

The broker is its own. Prints the machine, then median and spread per contender; keeps everything in
build/bench/*.json. Rounds are interleaved, so a machine that slows down slows everybody.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from stream.local.kafka import EmbeddedKafka
from tests.bench import machine
from tests.bench.card import Card
from tests.bench.case import Case, Result
from tests.bench.random_bundle import OUTPUT, random_bundle

CATCH_UP_AGE_S = 2.0


class Entry(NamedTuple):
    """A contender in a profile."""

    module: str
    profile: str  # step: no item list; full: top-10
    items: int  # of the bundle
    events_max: int = 1 << 30  # in a run
    catch_up_age_s: float = 0.0


CONTENDERS = {
    "floor": Entry("floor", "step", 0),
    "floor-full": Entry("floor", "full", 0),
    "step": Entry("forecart", "step", 2_000),
    "full": Entry("forecart", "full", 2_000),
    "full-20000": Entry("forecart", "full", 20_000),
    "full-43000": Entry("forecart", "full", 43_000),
    # The same, while the load is old: two seconds after the last of it was written.
    "step-catch-up": Entry("forecart", "step", 2_000, catch_up_age_s=CATCH_UP_AGE_S),
    "full-catch-up": Entry("forecart", "full", 2_000, catch_up_age_s=CATCH_UP_AGE_S),
    # The rivals, each with as many events as it takes in half a minute.
    "faust": Entry("faust", "step", 0, 15_000),
    "quix": Entry("quix", "step", 0, 30_000),
    "bytewax": Entry("bytewax", "step", 0, 300_000),
    "flink": Entry("flink", "step", 0, 30_000),
    "streams": Entry("streams", "step", 0),
    "streams-model": Entry("streams", "step", 2_000, 100_000),
}
RIVALS = ("faust", "quix", "bytewax", "flink", "streams", "streams-model")
COMPRESSIONS = ("none", "lz4", "zstd", "snappy", "gzip")
ALIASES = {"forecart": "step"}
FLOORS = {"step": "floor", "full": "floor-full"}  # by profile: it writes as many bytes


def main(arguments: list[str] | None = None) -> int:
    """Run. Returns 1 when a contender failed."""
    options = _options(arguments)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = OUTPUT / f"{stamp}.json"
    card = machine.card()
    runs: list[dict[str, Any]] = []
    with own_broker(options.broker) as bootstrap:
        for number in range(options.repeats):
            for mode in options.modes:
                for name in options.only:
                    if mode == "live" and name in RIVALS:
                        continue  # they tell nobody when they are ready
                    entry = CONTENDERS[name]
                    case = Case(
                        contender=entry.module,
                        mode=mode,
                        bootstrap=bootstrap,
                        prefix=f"bench-{stamp}-{number}-{mode}-{name}-",
                        events=min(options.events, entry.events_max),
                        rate=options.rate if mode == "live" else 0.0,
                        profile=entry.profile,
                        guarantee=options.guarantee,
                        bundle=bundle_of(entry, options.bundle),
                        compression=options.compression,
                        catch_up_age_s=entry.catch_up_age_s,
                        card=Card(partitions=options.partitions),
                    )
                    runs.append({"name": name, "mode": mode, "round": number, **run_once(case)})
                    given = replace(case, prefix="", events=options.events)
                    report = {"machine": card, "case": json.loads(given.to_json()), "runs": runs}
                    path.write_text(json.dumps(report, indent=1))  # each time: a run may be ended
    show(report, path)
    return int(any("error" in run for run in runs))


@contextlib.contextmanager
def own_broker(given: str = "") -> Iterator[str]:
    """Give a broker's address: the given one's, or that of one whose data go afterwards."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if given:
        yield given
        return
    broker = EmbeddedKafka(OUTPUT / "kafka")
    try:
        yield broker.up()
    finally:
        broker.down()
        shutil.rmtree(broker.home, ignore_errors=True)


def bundle_of(entry: Entry, given: str) -> str:
    """Give the bundle's folder: the given one, or one of random weights."""
    if given or not entry.items:
        return given
    return str(random_bundle(Card(), entry.items))


def run_once(case: Case) -> Result:
    """Run one case in a fresh process."""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.one", case.to_json()],
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.monotonic() - begin
    label = f"{case.mode} {case.contender} ({case.profile})"
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no word"])[-1]
        print(f"{label}: FAILED: {reason}", file=sys.stderr)
        return {"error": reason, "log": done.stderr}
    result: Result = json.loads(done.stdout.splitlines()[-1])
    print(f"{label}: {result['events_per_second']:,.0f} events/s ({took:.0f} s)", file=sys.stderr)
    return result


def show(report: dict[str, Any], path: Path) -> None:
    """Print the machine and the table."""
    about, case, runs = report["machine"], report["case"], report["runs"]
    console = Console(width=110)
    console.print(
        f"{about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, "
        f"{about['system']}, Python {about['python']}, commit {about['commit']}"
    )
    given = case["card"]
    console.print(
        f"up to {case['events']:,} events of 200 bytes, {given['partitions']} partitions, "
        f"{given['users']:,} users, {case['guarantee']}, compression {case['compression']}; "
        f"synthetic load; the floors write "
        f"{given['prediction_bytes']} (full: {given['prediction_full_bytes']}) + "
        f"{given['state_bytes']} bytes an event"
    )
    table = Table(
        "mode", "contender", "events/s", "lowest", "highest", "of floor", "µs CPU/event", "runs"
    )
    for mode in dict.fromkeys(run["mode"] for run in runs):
        for name in dict.fromkeys(run["name"] for run in runs):
            rates = _rates(runs, mode, name)
            if not rates:
                table.add_row(mode, name, "failed", "", "", "", "", "0")
                continue
            median = statistics.median(rates)
            floor = _rates(runs, mode, FLOORS[CONTENDERS[name].profile])
            share = f"{median / statistics.median(floor):.2f}" if floor else "-"
            cpu = statistics.median(
                run["cpu_us_per_event"]
                for run in runs
                if run["name"] == name and run["mode"] == mode and "error" not in run
            )
            cells = (f"{median:,.0f}", f"{min(rates):,.0f}", f"{max(rates):,.0f}", share)
            table.add_row(mode, name, *cells, f"{cpu:.1f}", str(len(rates)))
    console.print(table)
    console.print(f"all of it: {path}")


def _rates(runs: list[dict[str, Any]], mode: str, name: str) -> list[float]:
    return [
        run["events_per_second"]
        for run in runs
        if run["name"] == name and run["mode"] == mode and "error" not in run
    ]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    parser.add_argument(
        "--only",
        type=_names,
        default=list(CONTENDERS),
        metavar="NAME[,NAME]",
        help=f"of {', '.join(CONTENDERS)}; forecart is step; default: all",
    )
    parser.add_argument(
        "--modes",
        type=_modes,
        default=["drain", "live"],
        metavar="MODE[,MODE]",
        help="drain: the log is filled before; live: a producer runs beside",
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="events in a run")
    parser.add_argument(
        "--rate", type=float, default=60_000.0, help="live: events/s sent; 0: as fast as can be"
    )
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--guarantee", default="exactly_once", help="of Forecart's outputs")
    parser.add_argument(
        "--bundle", default="", help="model bundle; default: random weights of the card's size"
    )
    parser.add_argument("--partitions", type=int, default=Card().partitions, help="of each topic")
    parser.add_argument(
        "--compression", choices=COMPRESSIONS, default="none", help="of the load, by its producer"
    )
    parser.add_argument("--broker", default="", help="default: one of its own in build/bench")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = [ALIASES.get(name, name) for name in text.split(",")]
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
    return names


def _modes(text: str) -> list[str]:
    modes = text.split(",")
    if not set(modes) <= {"drain", "live"}:
        raise argparse.ArgumentTypeError(f"{text!r}: of drain, live")
    return modes


if __name__ == "__main__":
    sys.exit(main())
