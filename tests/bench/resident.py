"""`python -m tests.bench.resident`: what a worker takes in memory before its users count.

A worker with default settings and the shipped model on a broker of its own. It has some hundred
users, so what is left is the program: libraries, compiled code, buffers. To this number
`forecart capacity` adds users.
"""

import argparse
import re
import sys
from pathlib import Path

from tests.bench.alone import alone

MIB = 1 << 20


def main(arguments: list[str] | None = None) -> int:
    """Start, feed, look."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.resident", description=__doc__)
    parser.add_argument("--events", type=int, default=30_000)
    options = parser.parse_args(arguments)
    with alone("resident") as deployment:
        worker = deployment.start()
        worker.wait_until_it_runs(180)
        assert worker.process is not None
        show("when it runs", worker.process.pid)
        events = deployment.publish_shop(options.events, seed=1)
        deployment.settled(events)
        show(f"after {events:,} events", worker.process.pid)
        print(f"users {worker.metric('forecart_state_users'):,.0f}")
    return 0


def show(when: str, pid: int) -> None:
    """Print the resident size, and the highest so far."""
    text = Path(f"/proc/{pid}/status").read_text()
    sizes = [int(n) * 1024 for n in re.findall(r"^Vm(?:RSS|HWM):\s+(\d+) kB", text, re.MULTILINE)]
    now, highest = min(sizes), max(sizes)
    print(f"{when}: {now / MIB:,.0f} MiB, highest {highest / MIB:,.0f} MiB ({highest:,} bytes)")


if __name__ == "__main__":
    sys.exit(main())
