"""Soak: users who come and go for an hour; memory and cost per event must stay what they are.

    python -m tests.bounds.soak --minutes 60            a real worker and broker
    python -m tests.bounds.soak --minutes 1 --inside    one process, no broker

Rules of the room: after a warm-up every series is judged by a slope (slope.py). The last line says
the figures; status 1 where something grew.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import psutil

from tests.bounds.churning import ChurningWorker
from tests.bounds.slope import Trend, trend_of
from tests.flow.test_worker import START, until

USERS_MAX: Final = 4_000
PIECE_EVENTS: Final = 2_048
WAITING_MAX: Final = 6_000
COMPILE_S: Final = 180.0
# What may grow over the whole of a run after its warm-up, in parts; noise is of a few hundredths.
MEMORY_GROWTH_MAX: Final = 0.04
COST_GROWTH_MAX: Final = 0.25
COUNT_GROWTH_MAX: Final = 0.5  # of files and threads: they are few


class WorkerEndedError(RuntimeError):
    """The worker under load ended by itself; the message is its code and last words."""


@dataclass(slots=True)
class Samples:
    """Series by name, of equal length, and when they were taken."""

    times_s: list[float] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=dict)

    def add(self, now_s: float, **values: float) -> None:
        """Append one of each."""
        self.times_s.append(now_s)
        for name, value in values.items():
            self.series.setdefault(name, []).append(value)

    def trend(self, name: str) -> Trend:
        """Sum a series up."""
        return trend_of(self.times_s, self.series[name])


def judged(samples: Samples, limits: dict[str, float]) -> tuple[list[str], list[str]]:
    """Figures as text, and what grew beyond its limit."""
    texts, grown = [], []
    for name, limit in limits.items():
        trend = samples.trend(name)
        texts.append(f"{name}={trend.first:.1f}..{trend.last:.1f}({trend.share:+.1%})")
        if trend.share > limit:
            grown.append(f"{name} grew by {trend.share:.1%}, at most {limit:.0%}: {trend}")
    return texts, grown


INSIDE: Final = {
    "rss_mib": MEMORY_GROWTH_MAX, "us_per_event": COST_GROWTH_MAX,
    "objects": MEMORY_GROWTH_MAX, "threads": COUNT_GROWTH_MAX, "fds": COUNT_GROWTH_MAX,
}  # fmt: skip


async def soak_inside(seconds: float, samples_count: int = 60) -> tuple[Samples, ChurningWorker]:
    """Drive a worker over a sink in this process; the broker's part is left out."""
    churning = ChurningWorker(USERS_MAX)
    worker = churning.rig.worker
    process = psutil.Process()
    worker.start()
    await worker.on_assigned(START)
    churning.feed(PIECE_EVENTS)
    await until(lambda: churning.committed == churning.fed, "kernels to be compiled", COMPILE_S)
    samples = Samples()
    began = time.monotonic()
    every_s = seconds / samples_count
    cpu_s, committed, due = _cpu_s(process), churning.committed, began + every_s
    while (now := time.monotonic()) < began + seconds:
        if churning.waiting < WAITING_MAX:
            churning.feed(PIECE_EVENTS)
        await asyncio.sleep(0.001)
        if churning.rig.failures:
            raise churning.rig.failures[0]
        if now >= due and churning.committed > committed:
            spent_s, done = _cpu_s(process), churning.committed
            gc.collect()  # of 750,000 objects: seconds of a slow machine, not a cost of events
            samples.add(
                now - began,
                rss_mib=process.memory_info().rss / (1 << 20),
                us_per_event=(spent_s - cpu_s) / (done - committed) * 1e6,
                objects=len(gc.get_objects()),
                threads=process.num_threads(),
                fds=process.num_fds(),
            )
            cpu_s, committed, due = _cpu_s(process), churning.committed, due + every_s
    await until(lambda: churning.committed == churning.fed, "the last commit")
    worker.stop(5)
    return samples, churning


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run. Returns 1 when something grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--inside", action="store_true", help="one process, without a broker")
    parser.add_argument("--rate", type=float, default=1_500.0, help="events/s of the real run")
    options = parser.parse_args(arguments)
    seconds = options.minutes * 60
    if options.inside:
        samples, churning = asyncio.run(soak_inside(seconds))
        head = f"events={churning.committed} evicted={churning.dropped}"
        texts, grown = judged(samples, INSIDE)
    else:
        from tests.bounds.soak_real import REAL, soak_real  # noqa: PLC0415 needs a broker

        try:
            samples, head = soak_real(seconds, options.rate)
        except WorkerEndedError as error:
            print(error)
            return 1
        texts, grown = judged(samples, REAL)
    for line in grown:
        print(line)
    print(f"minutes={options.minutes:g} {head} {' '.join(texts)} grown={len(grown)}")
    return int(bool(grown))


if __name__ == "__main__":
    sys.exit(main())
