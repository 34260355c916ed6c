"""What a campaign drives: a reader of bytes, how its inputs are made, and how they are judged."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from tests.fuzz.arcs import Arc


@dataclass(slots=True)
class Judged:
    """What became of a batch of inputs."""

    features: list[
        Hashable
    ]  # (n,) how each ended, coarsely: a new one makes an input worth keeping
    accepted: int
    refused: int
    failures: list[tuple[int, str]] = field(default_factory=list)  # index, and what is wrong


class Target(Protocol):
    """A reader under fire. An input is bytes; what they mean is the target's."""

    name: str
    batch_inputs: int
    traced_bytes_max: int  # of an input: longer ones are not traced

    def seeds(self) -> list[bytes]:
        """Give inputs to start from."""

    def change(self, rng: Random, value: bytes, other: bytes) -> bytes:
        """Make another input."""

    def judge(self, inputs: Sequence[bytes]) -> Judged:
        """Read them all, and say what is wrong."""

    def arcs(self, value: bytes) -> set[Arc]:
        """Say by which lines one is read. Slow."""
