"""The load, a process of its own: one shop's events, open-loop at a rate, let go and held by lines.

`on` lets it go, `off` holds it and answers with the records sent so far, all acknowledged. The shop
goes on where it stood, so users come back and fresh ones come; 1 % of the events come twice, 1 %
late, 0.2 % cannot be used. Run it: python -m tests.faults.load BOOTSTRAP PREFIX SEED RATE USERS
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Final

from stream.local.publish import Pace, Publisher, run_paced
from stream.local.shop import Block, Shop
from stream.wire.topics import INPUTS

ITEMS: Final = 200
DAYS: Final = 400.0  # more than any run plays
_DEADLINE_S: Final = 60.0


class Load:
    """The process, as its user sees it."""

    def __init__(self, bootstrap: str, prefix: str, seed: int, rate: int, users: int) -> None:
        words = (bootstrap, prefix, str(seed), str(rate), str(users))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.load", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.records = 0
        self._answer()

    def on(self) -> None:
        self._say("on")
        self._answer()

    def off(self) -> int:
        """Hold it; returns the records sent so far."""
        self._say("off")
        self.records = int(self._answer())
        return self.records

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the load ended with {self._process.wait(_DEADLINE_S)}")
        return line.strip()


class _Source:
    """A stream of blocks that can be left and taken up again, at the record where it was left."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._present: Block | None = None
        self._sent = 0  # records of the present block

    def blocks(self) -> Iterator[Block]:
        if self._present is not None and self._sent < len(self._present.values):
            rest = _tail(self._present, self._sent)
            self._present, self._sent = rest, 0
            yield rest
        for block in self._blocks:
            self._present, self._sent = block, 0
            yield block

    def sent(self, block: Block, start: int, stop: int) -> None:
        """Note what was handed over of the present block."""
        self._sent = stop


def _tail(block: Block, first: int) -> Block:
    return Block(
        block.rows[first:], block.keys[first:], block.values[first:], block.shift[first:],
        block.end_ms,
    )  # fmt: skip


def main(bootstrap: str, prefix: str, seed: int, rate: int, users: int) -> None:
    publisher = Publisher(bootstrap, [prefix + name for name in INPUTS])
    shop = Shop(seed, users, ITEMS, DAYS, partitions=publisher.partitions)
    source = _Source(shop.events())
    total = 0
    print("ready", flush=True)
    while sys.stdin.readline().strip() == "on":
        print("on", flush=True)
        stop = threading.Event()
        waiting = threading.Thread(target=_wait_off, args=(stop,))
        waiting.start()
        done = run_paced(
            publisher, source.blocks(), Pace(rate=rate), stop=stop, on_sent=source.sent
        )
        waiting.join()
        total += done.records
        print(total, flush=True)


def _wait_off(stop: threading.Event) -> None:
    sys.stdin.readline()
    stop.set()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
