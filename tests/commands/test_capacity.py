"""`forecart capacity`: its model against what was measured, its limits, its one line when wrong."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from stream.commands import capacity, capacity_plan
from stream.commands.capacity_plan import GIB, MEASURED, CapacityError, Load, plan
from stream.settings import Settings
from tests.bench.card import Card

DOC = Path(__file__).parents[2] / "docs" / "scaling.md"
CARD = Card()
LOAD = Load(
    events_per_s=60_000, users=1_000_000, event_bytes=200, hidden_floats=200, partitions=None,
    worker_bytes_max=64 * GIB,
)  # fmt: skip


@pytest.mark.parametrize(
    ("users", "write_mb", "disk_gb"),
    [(50_000, (55, 59), (1.2, 1.4)), (1_000_000, (89, 95), (3.3, 4.3))],
)
def test_the_changelog_is_as_docs_adr_0003_measured_it(users, write_mb, disk_gb):
    """57 and 92 MB/s, 1.3 and 3.3 to 4.3 GB: at the card's rate and its skew of users."""
    settings = Settings(items_top=0)
    written = capacity_plan.changelog_write_rate(60_000, users, settings)
    assert write_mb[0] <= written / 1e6 <= write_mb[1]
    disk = capacity_plan.changelog_bytes(users, written, CARD.partitions, settings)
    assert disk_gb[0] <= disk / 1e9 <= disk_gb[1]


def test_a_user_is_as_docs_adr_0004_measured_it():
    settings = Settings(window_steps=CARD.window_steps)
    assert capacity_plan.user_bytes(settings) == 2_044
    assert capacity_plan.row_bytes(settings) == 1_980


def test_what_is_assumed_is_what_stands_elsewhere():
    assert CARD.users_exponent == capacity_plan.USERS_EXPONENT


@pytest.mark.parametrize("events_per_s", [1, 10_000, 60_000, 500_000])
@pytest.mark.parametrize("users", [1, 100_000, 20_000_000])
@pytest.mark.parametrize("items_top", [0, 10])
def test_the_load_is_carried_with_one_worker_gone(events_per_s, users, items_top):
    settings = Settings(items_top=items_top)
    load = replace(LOAD, events_per_s=events_per_s, users=users, worker_bytes_max=16 * GIB)
    made = plan(load, settings)
    rate = capacity_plan.rate_of(settings)
    assert made.workers >= 2
    assert events_per_s <= rate * (made.workers - 1)
    assert made.partitions >= 2 * made.workers
    assert made.partitions * settings.users_max >= users
    assert made.worker_bytes <= made.worker_bytes_one_gone <= load.worker_bytes_max


def test_more_of_each_takes_more():
    settings = Settings()
    made = plan(LOAD, settings)
    assert plan(replace(LOAD, events_per_s=120_000), settings).workers > made.workers
    assert plan(replace(LOAD, users=9_000_000), settings).partitions > made.partitions
    assert plan(LOAD, Settings(replication=3)).changelog_disk_bytes == pytest.approx(
        3 * made.changelog_disk_bytes, abs=3
    )
    assert plan(LOAD, Settings(standby_replicas=1)).worker_bytes > made.worker_bytes
    assert plan(LOAD, Settings(window_steps=64)).worker_bytes > made.worker_bytes
    small = replace(LOAD, users=4_000_000, worker_bytes_max=2 * GIB)
    assert (
        plan(small, settings).workers
        > plan(replace(small, worker_bytes_max=GIB * 8), settings).workers
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"partitions": 3, "events_per_s": 900_000}, "3 partitions keep no more than 3 busy"),
        ({"partitions": 2, "users": 2_000_000, "events_per_s": 1}, "hold 909,090 users, not"),
        ({"worker_bytes_max": GIB // 10}, "GiB before its users, more than 0.1"),
        ({"users": 10**9}, "raise users_max"),
        ({"events_per_s": 1e9}, "more than 512"),
    ],
)
def test_what_does_not_fit_is_one_line(changed, said):
    with pytest.raises(CapacityError) as refused:
        plan(replace(LOAD, **changed), Settings())
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_disk_is_told_as_precisely_as_it_is_known():
    sizes = (0.34e9, 99.94e9, 135_263_500_000, 999e9, 1.0e12, 135.26e12)
    told = ["0.3 GB", "99.9 GB", "135 GB", "999 GB", "1.0 TB", "135 TB"]
    assert [capacity._disk(int(size)) for size in sizes] == told


ASKED = ("capacity", "--events-per-second", "60000", "--users", "1000000")


def test_it_prints_each_number_with_its_command(forecart):
    result = forecart(*ASKED)
    assert result.exit_code == 0, result.stderr
    for word in ("partitions", "workers", "memory of a worker", "changelog, disk", "restore"):
        assert word in result.stdout
    for measured in MEASURED.values():
        assert measured.command in result.stdout


def test_json_is_the_plan(forecart):
    result = forecart(*ASKED, "--json", "--set", "items_top=0")
    made = json.loads(result.stdout)
    expected = plan(replace(LOAD, worker_bytes_max=8 * GIB), Settings(items_top=0))
    assert made == asdict(expected)


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (("capacity",), 2, "Missing option '--events-per-second'"),
        ((*ASKED[:3], "--users", "0"), 2, "Invalid value for '--users'"),
        ((*ASKED[:2], "nan", "--users", "1"), 2, "nan is not a number"),
        ((*ASKED, "--worker-memory", "-1"), 2, "Invalid value for '--worker-memory'"),
        (
            (*ASKED[:1], "--events-per-second", "900000", *ASKED[3:], "--partitions", "3"),
            1,
            "3 busy",
        ),
        ((*ASKED, "--set", "window_step=1"), 2, "unknown setting 'window_step'"),
        ((*ASKED, "--set", "bundle=/nowhere"), 1, "bundle /nowhere"),
    ],
)
def test_wrong_arguments_are_one_line(forecart, words, status, line):
    result = forecart(*words)
    assert result.exit_code == status
    assert result.stderr.count("\n") == 1
    assert line in result.stderr


def test_rates_are_the_lowest_of_docs_performance():
    """Whoever measures anew there takes the lowest over to capacity_plan.py and docs/scaling.md."""
    text = (DOC.parent / "performance.md").read_text()
    lowest = re.findall(r"profile `(\w+)`.*?\(([\d,]+) to [\d,]+\) events/s", text)
    assert dict(lowest) == {
        "step": f"{MEASURED['events_per_s_without_items'].value:,}",
        "full": f"{MEASURED['events_per_s_with_items'].value:,}",
    }


def test_the_doc_has_the_same_numbers():
    rows = re.findall(
        r"^\| ([\d,.e+-]+) \| (\S+) \| (.+?) \| `(.+?)` \|", DOC.read_text(), re.MULTILINE
    )
    assert rows == [(f"{m.value:,g}", m.unit, m.what, m.command) for m in MEASURED.values()]


def test_whose_window_is_run_anew_at_each_event_is_said():
    """Beyond the pools an event costs more (docs/scale.md); the rates planned with are within."""
    few, many = replace(LOAD, users=300_000), replace(LOAD, users=4_000_000)
    settings = Settings()
    assert plan(few, settings).hidden_share == 1.0
    made = plan(many, settings)
    assert made.hidden_share == pytest.approx(100_000 * made.partitions / 4_400_000, rel=1e-3)
    assert plan(many, Settings(hidden_users_max=1_000_000)).hidden_share == 1.0
