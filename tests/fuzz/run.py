"""`python -m tests.fuzz.run --inputs N`: a campaign over all targets, a process for each core.

Rules of the room: it goes on where it stood: what is done, and the corpus, lie in a folder. A
process that dies leaves its batch in a file; the input is looked for in there, and is a failure.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz.campaign import TARGETS, Campaign, Slice, keep_failure, unpacked

FOLDER: Final = Path("build/fuzz")
# Inputs in a slice, and how many of a target's inputs there are for each thousand events.
SLICES: Final = {"events": 200_000, "batches": 20_000, "states": 10_000, "bundles": 1_000}
SHARES: Final = {"events": 1000, "batches": 100, "states": 20, "bundles": 1}
SHOWN_MAX: Final = 20


@dataclass(slots=True)
class Progress:
    """What a target's campaign has done, ever; kept in progress.json."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    slices: int = 0
    corpus: int = 0
    arcs: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, part: Slice) -> None:
        """Count a slice."""
        self.inputs += part.inputs
        self.accepted += part.accepted
        self.refused += part.refused
        self.corpus = max(self.corpus, part.corpus)
        self.arcs = max(self.arcs, part.arcs)
        self.failures = sorted({*self.failures, *part.failures})


_campaigns: dict[str, Campaign] = {}  # of this process, which may get several slices


def run_slice(name: str, folder: Path, number: int, inputs: int) -> Slice:
    """Run in a process of the pool."""
    if name not in _campaigns:
        _campaigns[name] = Campaign(TARGETS[name](), folder)
    return _campaigns[name].run(number, inputs)


def campaign(name: str, folder: Path, inputs: int, processes: int) -> Progress:
    """Go on until so many inputs are judged; what was done before counts."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "progress.json"
    progress = Progress()
    if file.exists():
        progress = msgspec.json.decode(file.read_bytes(), type=Progress)
    before = progress.seconds
    began = time.monotonic()
    while progress.inputs < inputs:
        try:
            _fill(name, folder, inputs, processes, progress)
        except BrokenProcessPool:
            progress.failures += _culprits(name, folder)
        progress.seconds = before + time.monotonic() - began
        file.write_text(json.dumps(asdict(progress)))
        if len(progress.failures) > SHOWN_MAX:
            break
    return progress


def _fill(name: str, folder: Path, inputs: int, processes: int, progress: Progress) -> None:
    """Keep the processes busy until enough is under way, and take what comes back."""
    spawn = multiprocessing.get_context("spawn")
    running: set[Future[Slice]] = set()
    asked = progress.inputs
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        while asked < inputs or running:
            while asked < inputs and len(running) < processes:
                count = min(SLICES[name], inputs - asked)
                running.add(pool.submit(run_slice, name, folder, progress.slices, count))
                progress.slices += 1
                asked += count
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                progress.add(future.result())
            (folder / "progress.json").write_text(json.dumps(asdict(progress)))
            print(f"{name}: {progress.inputs:,} inputs", file=sys.stderr, flush=True)


def _culprits(name: str, folder: Path) -> list[str]:
    """Find the inputs on which a process dies: halve the batches that were running."""
    found = []
    for path in folder.glob("running-*"):
        fatal = _fatal(name, list(unpacked(path.read_bytes())))
        found += [keep_failure(name, value, "the process died") for value in fatal]
        path.unlink()
    return found or [f"{name}: a process died, but on none of its inputs alone"]


def _fatal(name: str, inputs: list[bytes]) -> list[bytes]:
    child = multiprocessing.get_context("spawn").Process(target=judge_all, args=(name, inputs))
    child.start()
    child.join()
    if child.exitcode == 0:
        return []
    if len(inputs) == 1:
        return inputs
    middle = len(inputs) // 2
    return _fatal(name, inputs[:middle]) or _fatal(name, inputs[middle:])


def judge_all(name: str, inputs: list[bytes]) -> None:
    """Judge in a process that may die of it."""
    TARGETS[name]().judge(inputs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run. Returns 1 when anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of events; others: shares")
    parser.add_argument("--target", choices=[*TARGETS], action="append", help="default: all")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    done: dict[str, Progress] = {}
    for name in options.target or TARGETS:
        wanted = options.inputs * SHARES[name] // 1000
        done[name] = campaign(name, options.folder / name, wanted, options.processes)
        about = done[name]
        print(
            f"{name}: inputs={about.inputs} accepted={about.accepted} refused={about.refused}"
            f" failures={len(about.failures)} corpus={about.corpus} arcs={about.arcs}"
            f" seconds={about.seconds:.0f} inputs_per_s={about.inputs / about.seconds:.0f}"
        )
    failures = [line for about in done.values() for line in about.failures]
    for line in failures[:SHOWN_MAX]:
        print(line)
    events = done.get("events", Progress())
    rest = " ".join(f"{name}={done[name].inputs}" for name in done if name != "events")
    print(
        f"inputs={events.inputs} events={events.accepted} dead_letters={events.refused}"
        f" failures={len(failures)} {rest}".rstrip()
    )
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
