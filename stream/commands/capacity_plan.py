"""How many partitions, workers and bytes a load takes: arithmetic on what was measured.

Rules of the room: what the code knows (bytes of a row, limits, topics) is asked of the code. Only
what had to be measured stands in MEASURED, each with the command that measured it; docs/scaling.md
shows the same table, and a test compares. What is planned rather than measured is named so.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from stream.core.layout import STEP, USER
from stream.settings import Settings
from stream.wire.topics import PREDICTIONS, STATE, TABLE

BENCH: Final = "python -m tests.bench"
CHANGELOG: Final = f"{BENCH}.changelog --users 1000000 --seconds 60 --scheme rows"


@dataclass(frozen=True, slots=True)
class Measured:
    """One number, and where it comes from."""

    value: float
    unit: str
    what: str
    command: str


MEASURED: Final = {
    "events_per_s_without_items": Measured(
        98_800,
        "events/s",
        "a worker without item lists (items_top=0), lowest of eleven runs",
        f"{BENCH}.run --only step --modes drain",
    ),
    "events_per_s_with_items": Measured(
        77_000,
        "events/s",
        "a worker with the top 10 of 2,000 items, lowest of three runs",
        f"{BENCH}.run --only full --modes drain",
    ),
    "user_beside_bytes": Measured(
        65,
        "bytes",
        "of a user in memory, beside its record and window",
        f"{BENCH}.changelog --memory --users 1000000",
    ),
    "worker_mb": Measured(
        340,
        "MB",
        "of a worker with 300 users after 30,000 events at full speed, at most",
        f"{BENCH}.resident",
    ),
    "restore_mb_per_s": Measured(
        255,
        "MB/s",
        "of the changelog restored by one worker, lowest of three rounds",
        f"{BENCH}.restore",
    ),
    "cleaner_s": Measured(
        16,
        "s",
        "of writes lie in the changelog until the broker's cleaner comes by",
        CHANGELOG,
    ),
    "prediction_bytes": Measured(595, "bytes", "of a prediction without items", f"{BENCH}.encode"),
    "prediction_items_bytes": Measured(
        1_291, "bytes", "of a prediction with ten items", f"{BENCH}.encode"
    ),
}

# Planned, not measured.
# Of a worker's measured rate: one that was away catches up as fast as it fell behind.
SHARE: Final = 0.5
SPREAD: Final = 1.1  # the fullest partition over the average one, by users
USERS_EXPONENT: Final = 0.8  # Zipf, of how events fall on users: the bench card's
WORKERS_MIN: Final = 2  # one may be gone
PARTITIONS: Final = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
GIB: Final = 1 << 30
MB: Final = 1_000_000


class CapacityError(ValueError):
    """The load does not fit. The message is for the user."""


@dataclass(frozen=True, slots=True)
class Load:
    """What comes in, at its peak."""

    events_per_s: float
    users: int
    event_bytes: int
    hidden_floats: int  # of (h, c) per user: the bundle's
    partitions: int | None  # None: to be chosen
    worker_bytes_max: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes. Disk is of all replicas together."""

    partitions: int
    workers: int
    standby_replicas: int
    worker_bytes: int  # of memory, all workers up
    worker_bytes_one_gone: int  # of memory, one worker gone: the limit to set
    changelog_write_bytes_per_s: int
    changelog_disk_bytes: int
    topics_disk_bytes: int
    restore_s: float  # of one worker's partitions
    restore_one_gone_s: float  # of what each other worker takes over, without a standby
    hidden_share: float  # of users whose (h, c) is kept; another's whole window is run anew


def plan(load: Load, settings: Settings) -> Plan:
    """Find the fewest workers that carry the load with one of them gone. Raises CapacityError."""
    least = memory_bytes(dataclasses.replace(load, users=0), settings, 1, 1)
    if least > load.worker_bytes_max:
        raise CapacityError(
            f"a worker takes {least / GIB:.1f} GiB before its users, more than"
            f" {load.worker_bytes_max / GIB:.1f}"
        )
    workers = max(WORKERS_MIN, math.ceil(load.events_per_s / (rate_of(settings) * SHARE)))
    while True:
        partitions = load.partitions or _partitions(load, settings, workers)
        _refuse(load, settings, workers, partitions)
        held = _held(partitions, settings, workers - 1)
        if memory_bytes(load, settings, partitions, held) <= load.worker_bytes_max:
            return _plan(load, settings, partitions, workers)
        workers += 1


def rate_of(settings: Settings) -> float:
    """Events a second of one worker, as measured."""
    with_items = settings.items_top > 0
    return MEASURED["events_per_s_with_items" if with_items else "events_per_s_without_items"].value


def _partitions(load: Load, settings: Settings, workers: int) -> int:
    """Choose twice as many as workers, since the number stays, and enough for the users."""
    least = max(2 * workers, math.ceil(load.users * SPREAD / settings.users_max))
    found = next((number for number in PARTITIONS if number >= least), None)
    if found is None:
        raise CapacityError(
            f"{least:,} partitions would be needed, more than {PARTITIONS[-1]}: raise users_max"
            f" ({settings.users_max:,}), or give workers more memory"
        )
    return found


def _refuse(load: Load, settings: Settings, workers: int, partitions: int) -> None:
    hold = int(partitions * settings.users_max / SPREAD)
    if load.users > hold:
        raise CapacityError(
            f"{partitions} partitions of users_max={settings.users_max:,} hold {hold:,} users, not"
            f" {load.users:,}: raise users_max, or take more partitions"
        )
    if workers > partitions:
        raise CapacityError(
            f"{workers} workers are needed, and {partitions} partitions keep no more than"
            f" {partitions} busy: more partitions, or larger workers"
        )


def _plan(load: Load, settings: Settings, partitions: int, workers: int) -> Plan:
    written = changelog_write_rate(load.events_per_s, load.users, settings)
    disk = changelog_bytes(load.users, written, partitions, settings)
    lost = math.ceil(_owned(partitions, workers) / (workers - 1))
    outputs = MEASURED["prediction_items_bytes" if settings.items_top else "prediction_bytes"]
    kept_s = int(_topic(PREDICTIONS)["retention.ms"]) / 1000  # inputs are kept as long
    kept = load.events_per_s * kept_s * (load.event_bytes + outputs.value)
    return Plan(
        partitions=partitions,
        workers=workers,
        standby_replicas=settings.standby_replicas,
        worker_bytes=memory_bytes(load, settings, partitions, _held(partitions, settings, workers)),
        worker_bytes_one_gone=memory_bytes(
            load, settings, partitions, _held(partitions, settings, workers - 1)
        ),
        changelog_write_bytes_per_s=int(written * settings.replication),
        changelog_disk_bytes=int(disk * settings.replication),
        topics_disk_bytes=int(kept * settings.replication),
        restore_s=_restore_s(disk, partitions, _owned(partitions, workers)),
        restore_one_gone_s=_restore_s(disk, partitions, lost),
        hidden_share=min(1.0, settings.hidden_users_max / _users_of(load, settings, partitions)),
    )


def _owned(partitions: int, workers: int) -> int:
    return math.ceil(partitions / workers)


def _held(partitions: int, settings: Settings, workers: int) -> int:
    """Count the partitions whose state a worker holds: its own, and those it stands by for."""
    return min(partitions, math.ceil(partitions * (1 + settings.standby_replicas) / workers))


def row_bytes(settings: Settings) -> int:
    """Size of a full row of the changelog."""
    return 1 + USER.itemsize + settings.window_steps * STEP.itemsize


def user_bytes(settings: Settings) -> int:
    """Memory of a user, without the pool."""
    kept = USER.itemsize + settings.window_steps * STEP.itemsize
    return kept + int(MEASURED["user_beside_bytes"].value)


def memory_bytes(load: Load, settings: Settings, partitions: int, held: int) -> int:
    """Add up what a worker with `held` partitions needs at most, a new model being warmed."""
    users = _users_of(load, settings, partitions)
    pool = 2 * min(settings.hidden_users_max, users) * load.hidden_floats * 4
    each = users * user_bytes(settings) + pool + settings.buffer_bytes_max
    under_way = 2 * settings.commit_bytes_max  # one transaction ends while the next fills
    return int(MEASURED["worker_mb"].value * MB) + held * each + under_way


def _users_of(load: Load, settings: Settings, partitions: int) -> int:
    """Count the users of the fullest partition."""
    return max(1, min(settings.users_max, math.ceil(load.users / partitions * SPREAD)))


def changelog_write_rate(events_per_s: float, users: int, settings: Settings) -> float:
    """Bytes of rows a second: each commit writes every user once that it touched."""
    interval_s = settings.commit_interval_ms / 1000
    touched = _distinct(events_per_s * interval_s, users)
    return touched * row_bytes(settings) / interval_s


def _distinct(events: float, users: int) -> float:
    """Expect how many users make `events` events. Ranks are taken together, 1 % wide."""
    edges = np.unique(np.geomspace(1, users + 1, 2_000).astype(np.int64)).astype(np.float64)
    counts = np.diff(edges)  # users of each group of ranks
    weights = ((edges[:-1] + edges[1:] - 1) / 2) ** -USERS_EXPONENT
    shares = weights / (weights * counts).sum()
    return float((counts * -np.expm1(-events * shares)).sum())


def changelog_bytes(users: int, written_s: float, partitions: int, settings: Settings) -> float:
    """Disk of one replica: live rows, dead ones beside them, open segments, the cleaner's lag."""
    topic = _topic(STATE)
    live = users * row_bytes(settings) / (1 - float(topic["min.cleanable.dirty.ratio"]))
    segments = partitions * int(topic["segment.bytes"])
    return live + segments + written_s * MEASURED["cleaner_s"].value


def _topic(name: str) -> dict[str, str]:
    return dict(next(topic for topic in TABLE if topic.name == name).settings)


def _restore_s(disk: float, partitions: int, taken: int) -> float:
    share = taken / partitions * SPREAD
    return disk * share / (MEASURED["restore_mb_per_s"].value * MB)
