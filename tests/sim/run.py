"""`make sim SEEDS=a..b`: plays seeds on all cores; a second call goes on where the first ended.

A seed's result is a line of build/sim/results-DIGEST.jsonl, where DIGEST is of the sources: when
they have changed, a run begins anew, unless `--any-code` lets what other states of them have played
count too. Seeds that failed are written to failed_seeds.txt here, which
the tests play for ever. The last lines are the table of faults by step, and the counts.
"""

import argparse
import gc
import multiprocessing
import os
import statistics
import sys
import traceback
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from tests.sim.faults import KINDS, STEPS
from tests.sim.seed import play
from tests.sources import digest_of

FOLDER: Final = Path("build/sim")
FAILED: Final = Path(__file__).parent / "failed_seeds.txt"
SHARE: Final = 20  # seeds that a process is given at a time
SHOWN_MAX: Final = 10


class Line(msgspec.Struct):
    """What became of a seed."""

    seed: int
    problems: list[str]
    met: dict[str, int]  # "fault step" -> times
    ended: dict[str, int]  # exit code -> processes
    events: int
    commits: int
    milliseconds: float


def one(seed: int) -> Line:
    """Play a seed; what it raises is a problem too."""
    try:
        result = play(seed)
    except Exception:  # noqa: BLE001 a seed that fails must not end the run
        return Line(seed, [traceback.format_exc()[-1500:]], {}, {}, 0, 0, 0.0)
    return Line(
        seed,
        result.problems,
        {f"{kind} {step}": count for (kind, step), count in sorted(result.met.items())},
        {str(code): count for code, count in sorted(result.ended.items())},
        result.events,
        result.commits,
        round(result.milliseconds, 1),
    )


def _prepare() -> None:
    """As a worker does (stream/app.py): what is imported is never garbage."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def code_digest() -> str:
    """Hash every source that a result depends on."""
    return digest_of(
        ("stream/core", "stream/wire", "stream/flow", "stream/shell", "stream/audit",
         "stream/served", "tests/sim", "tests/oracle", "tests/strategies")
    )  # fmt: skip


def results_of(digest: str) -> Path:
    """Name the file of one state of the sources."""
    return FOLDER / f"results-{digest}.jsonl"


def known(path: Path) -> dict[int, Line]:
    """Read the results so far."""
    if not path.exists():
        return {}
    decode = msgspec.json.Decoder(Line).decode
    found = {}
    for line in path.read_bytes().splitlines():
        try:
            result = decode(line)
        except msgspec.DecodeError:
            continue  # the last one, cut off
        found[result.seed] = result
    return found


def keep_failed(seeds: Iterable[int]) -> None:
    """Add seeds to those that the tests play for ever."""
    kept = {int(line.split()[0]) for line in FAILED.read_text().splitlines() if line[:1].isdigit()}
    with FAILED.open("a") as file:
        file.writelines(f"{seed}\n" for seed in seeds if seed not in kept)


def table(lines: Iterable[Line]) -> list[str]:
    """Say how often each fault met each step."""
    met: Counter[str] = Counter()
    for line in lines:
        met.update(line.met)
    rows = [f"{'':14}" + "".join(f"{step[:8]:>9}" for step in STEPS)]
    for kind in KINDS:
        counts = [met[f"{kind} {step}"] for step in STEPS]
        cells = "".join(f"{count or '.':>9}" for count in counts)
        rows.append(f"{kind:14}{cells}")
    return rows


def summary(lines: list[Line]) -> str:
    """Put everything in one line."""
    failures = sum(bool(line.problems) for line in lines)
    median = statistics.median(line.milliseconds for line in lines) if lines else 0.0
    met = [count for line in lines for count in line.met.values()]
    return (
        f"seeds={len(lines)} failures={failures} events={sum(line.events for line in lines)}"
        f" commits={sum(line.commits for line in lines)} faults={sum(met)} median_ms={median:.0f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0..1000", help="a..b: from a up to, not including, b")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--any-code", action="store_true", help="seeds played by other states of the code count"
    )
    given = parser.parse_args()
    first, _, end = given.seeds.partition("..")
    wanted = range(int(first), int(end))
    FOLDER.mkdir(parents=True, exist_ok=True)
    digest = code_digest()
    path = results_of(digest)
    results = known(path)
    owners = dict.fromkeys(results, digest)
    if given.any_code:
        for other in sorted(FOLDER.glob(results_of("*").name)):
            for seed, line in known(other).items():
                results.setdefault(seed, line)
                owners.setdefault(seed, other.stem.partition("-")[2])
    missing = [seed for seed in wanted if seed not in results]
    print(f"{len(wanted) - len(missing)} seeds are known, {len(missing)} to be played", flush=True)
    spawn = multiprocessing.get_context("spawn")  # a fork takes over locks that threads hold
    with path.open("ab") as file, spawn.Pool(given.processes, _prepare) as pool:
        for line in pool.imap_unordered(one, missing, chunksize=SHARE):
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            results[line.seed] = line
            owners[line.seed] = digest
            if line.problems:
                print(f"seed {line.seed} failed: {line.problems[0]}", flush=True)
    lines = [results[seed] for seed in wanted]
    failed = [line.seed for line in lines if line.problems]
    keep_failed(failed)
    print("\n".join(table(lines)))
    for code, count in Counter(owners[seed] for seed in wanted).items():
        print(f"{count} seeds by the code {code}")
    if failed:
        print("failed:", *failed[:SHOWN_MAX], "..." if len(failed) > SHOWN_MAX else "")
    print(summary(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
