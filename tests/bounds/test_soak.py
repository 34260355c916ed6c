"""Half a minute of what `make soak` does for an hour, and whether it would notice."""

import random
import sys
from pathlib import Path

import pytest

from stream.settings import Settings
from tests.bounds.slope import trend_of
from tests.bounds.soak import (
    INSIDE,
    USERS_MAX,
    Samples,
    WorkerEndedError,
    judged,
    soak_inside,
)
from tests.bounds.soak_real import ended
from tests.deployment import WorkerProcess

SECONDS = 25.0
# Of 25 s on a machine with other work the cost says little: only a doubling counts here.
ALLOWED = INSIDE | {"us_per_event": 1.0}


async def test_nothing_grows_while_users_come_and_go() -> None:
    samples, churning = await soak_inside(SECONDS, samples_count=40)
    texts, grown = judged(samples, ALLOWED)
    assert grown == [], texts
    assert churning.dropped > 3 * USERS_MAX  # the cap was met over and over
    assert churning.rig.failures == []


def test_a_worker_that_ends_is_told_in_a_line(tmp_path: Path) -> None:
    worker = WorkerProcess(Settings(state_dir=str(tmp_path)), tmp_path, 0)
    worker.start(program=(sys.executable, "-c", "print('the disk is full'); raise SystemExit(18)"))
    told = ended(worker, ConnectionRefusedError())
    assert str(told) == "the worker ended with 18: the disk is full"
    assert isinstance(told, WorkerEndedError)


def series(growth: float, seed: int = 1) -> tuple[list[float], list[float]]:
    """A noisy line with spikes, that grows by a share over its length."""
    rng = random.Random(seed)
    times = [float(second) for second in range(100)]
    values = [100 * (1 + growth * time / 70) * rng.uniform(0.97, 1.03) for time in times]
    for _ in range(8):
        values[rng.randrange(100)] *= 3
    return times, values


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("growth", "low", "high"), [(0.0, -0.03, 0.03), (0.2, 0.14, 0.26)])
def test_a_slope_is_seen_through_noise(growth: float, low: float, high: float, seed: int) -> None:
    assert low < trend_of(*series(growth, seed)).share < high


def test_what_grows_is_said() -> None:
    samples = Samples()
    for time, value in zip(*series(0.2), strict=True):
        samples.add(time, rss_mib=value)
    texts, grown = judged(samples, {"rss_mib": 0.04})
    assert len(grown) == 1
    assert texts[0].startswith("rss_mib=")


def test_too_few_samples_say_nothing() -> None:
    with pytest.raises(ValueError, match="samples"):
        trend_of([1.0, 2.0], [1.0, 2.0])
