"""The live producer, a process of its own: builds the load, prints `built`, waits for a line.

Then it sends, and prints what it did as JSON: events, seconds, begin and end as wall clock. With a
rate it keeps to it in ticks of 20 ms; without, it sends as fast as the broker takes.
"""

import json
import sys
import time

from tests.bench.case import Case
from tests.bench.load import BLOCK_EVENTS, Block, Load, Sender

TICK_S = 0.02


def main(case: Case) -> None:
    """Build, wait, send."""
    end_ms = int(time.time() * 1000)
    blocks = list(Load(case.card, case.events, end_ms).blocks())
    size = round(case.rate * TICK_S) if case.rate else BLOCK_EVENTS
    pieces = [piece for block in blocks for piece in cut(block, size)]
    sender = Sender(case.bootstrap, case.prefix, case.compression)
    print("built", flush=True)
    sys.stdin.readline()
    begin, sent = time.time(), 0
    for piece in pieces:
        if case.rate:
            time.sleep(max(0.0, begin + sent / case.rate - time.time()))
        sent += sender.send(piece)
    sender.flush()
    end = time.time()
    print(json.dumps({"events": sent, "seconds": end - begin, "begin": begin, "end": end}))


def cut(block: Block, size: int) -> list[Block]:
    """Cut a block into pieces of about `size` events, each with its share of every partition."""
    total = sum(len(messages) for messages in block.values())
    count = max(1, round(total / size))
    pieces: list[Block] = [{} for _ in range(count)]
    for place, messages in block.items():
        edges = [len(messages) * number // count for number in range(count + 1)]
        for number in range(count):
            pieces[number][place] = messages[edges[number] : edges[number + 1]]
    return pieces


if __name__ == "__main__":
    main(Case.from_json(sys.argv[1]))
