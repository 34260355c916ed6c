"""Runs of an axis are taken beside the floor of the same value and round."""

from pathlib import Path
from typing import Any

from tests.bench import broker_scale
from tests.bench.card import Card


def run(value: int, name: str, number: int, rate: float) -> dict[str, Any]:
    return {
        "value": value, "name": name, "round": number, "events_per_second": rate,
        "cpu_us_per_event": 15.0,
    }  # fmt: skip


REPORT: dict[str, Any] = {
    "axis": "partitions",
    "runs": [
        run(4, "floor", 0, 100_000), run(4, "step", 0, 60_000),
        run(4, "floor", 1, 120_000), run(4, "step", 1, 60_000),
        run(16, "floor", 0, 100_000), run(16, "step", 0, 40_000),
        run(16, "step", 1, 90_000),  # its floor failed
        run(64, "floor", 0, 100_000), {**run(64, "step", 0, 1), "error": "no word"},
    ],
}  # fmt: skip


def test_shares_are_of_the_floor_in_the_same_round():
    text = broker_scale.table(REPORT)
    assert "| 4 | 60,000 (60,000 to 60,000) | 0.55 (0.50 to 0.60) |" in text
    assert "| 16 | 40,000 (40,000 to 40,000) | 0.40 (0.40 to 0.40) |" in text
    assert "| 64 | failed |" in text


def test_a_chart_is_drawn_the_same_twice(tmp_path: Path):
    report = {**REPORT, "runs": [one for one in REPORT["runs"] if one["value"] != 64]}
    for value in (4, 16):
        report["runs"] = [*report["runs"], run(64, "floor", value, 9), run(64, "step", value, 5)]
    for name in ("one.svg", "two.svg"):
        broker_scale.draw(report, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_value_changes_one_thing_of_the_card():
    assert broker_scale.shaped("partitions", 16) == {"card": Card(partitions=16)}
    assert broker_scale.shaped("compression", "lz4") == {"compression": "lz4"}
    assert broker_scale.shaped("workers", 2) == {"workers": 2}
