"""A slice of a campaign in one process: change inputs of the corpus, judge, keep what is new.

Rules of the room: an input is kept when it ends in a way, or is read by a line after another line,
that was not seen before. Compiled kernels have no lines, so a share of the inputs is traced through
their plain twins. The batch being judged lies in a file: should the process die on it, the campaign
finds the input in there.
"""

import hashlib
import struct
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from tests.fuzz.batches import Batches
from tests.fuzz.bundles import Bundles
from tests.fuzz.events import Events
from tests.fuzz.states import States
from tests.fuzz.target import Target

if TYPE_CHECKING:
    from tests.fuzz.arcs import Arc

FOUND: Final = Path(__file__).parent / "found"
TARGETS: Final = {kind.name: kind for kind in (Events, Batches, States, Bundles)}
CORPUS_MAX: Final = 4_000
TRACED_PER_BATCH: Final = 2
RECENT: Final = 64  # inputs that count as kept last


@dataclass(frozen=True, slots=True)
class Slice:
    """What a slice did."""

    inputs: int
    accepted: int
    refused: int
    failures: list[str]
    corpus: int
    arcs: int


class Campaign:
    """What one process knows of a target: its corpus, and the ways and ends seen so far."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target = target
        self._folder = folder
        self._seeds = target.seeds()
        self._corpus: list[bytes] = []
        self._names: set[str] = set()
        self._features: set[Hashable] = set()
        self._arcs: set[Arc] = set()
        (folder / "corpus").mkdir(parents=True, exist_ok=True)

    def run(self, number: int, inputs: int) -> Slice:
        """Judge so many inputs; the slice's number is the seed."""
        rng = Random(f"{self.target.name} {number}")
        self._load()
        done = accepted = refused = 0
        failures: list[str] = []
        running = self._folder / f"running-{number}"
        while done < inputs:
            count = min(self.target.batch_inputs, inputs - done)
            batch = [self._next(rng) for _ in range(count)]
            running.write_bytes(packed(batch))
            judged = self.target.judge(batch)
            failures += [
                keep_failure(self.target.name, batch[at], why) for at, why in judged.failures
            ]
            self._learn(rng, batch, judged.features)
            done += count
            accepted += judged.accepted
            refused += judged.refused
        running.unlink()
        return Slice(done, accepted, refused, failures, len(self._corpus), len(self._arcs))

    def _next(self, rng: Random) -> bytes:
        """Change a seed, one of those kept last, or any one: a third each."""
        source = rng.choice((self._seeds, self._corpus[-RECENT:], self._corpus))
        return self.target.change(rng, rng.choice(source), rng.choice(self._corpus))

    def _load(self) -> None:
        """Take over what other processes, or earlier campaigns, have kept."""
        fresh = [] if self._corpus else list(self._seeds)
        for path in sorted((self._folder / "corpus").iterdir()):
            if path.name not in self._names and path.suffix == ".bin":
                fresh.append(path.read_bytes())
        for value in fresh:
            self._enter(value)
        if fresh:
            self._features.update(self.target.judge(fresh).features)

    def _learn(self, rng: Random, batch: list[bytes], features: Sequence[Hashable]) -> None:
        traced = {rng.randrange(len(batch)) for _ in range(TRACED_PER_BATCH)}
        for at, feature in enumerate(features):
            new = feature not in self._features
            if not new and at not in traced:
                continue
            self._features.add(feature)
            value = batch[at]
            if len(value) <= self.target.traced_bytes_max:
                arcs = self.target.arcs(value)
                new |= not arcs <= self._arcs
                self._arcs |= arcs
            if new and len(self._corpus) < CORPUS_MAX:
                self._enter(value)

    def _enter(self, value: bytes) -> None:
        name = f"{hashlib.sha256(value).hexdigest()[:16]}.bin"
        if name in self._names:
            return
        self._names.add(name)
        self._corpus.append(value)
        if len(value) <= self.target.traced_bytes_max:
            self._arcs |= self.target.arcs(value)
        path = self._folder / "corpus" / name
        if not path.exists():
            path.write_bytes(value)


def keep_failure(target: str, value: bytes, why: str) -> str:
    """Keep an input for ever: tests/fuzz/test_found.py runs it again. Returns what is wrong."""
    name = f"{target}-{hashlib.sha256(value).hexdigest()[:12]}.bin"
    (FOUND / name).write_bytes(value)
    return f"{name}: {why}"


def packed(batch: Sequence[bytes]) -> bytes:
    """Write inputs one after the other."""
    return b"".join(struct.pack("<I", len(value)) + value for value in batch)


def unpacked(data: bytes) -> Iterator[bytes]:
    """Read them again."""
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        yield data[at + 4 : at + 4 + size]
        at += 4 + size
