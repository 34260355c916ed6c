"""Points of an axis are taken beside the card's point of the same round."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench import curves, random_bundle, scale
from tests.bench.card import Card
from tests.bench.loaded import Setup
from tests.bench.pipeline import STAGES


def run(us: float) -> dict[str, Any]:
    return {
        "cpu_us_per_event": us, "stages_us": dict.fromkeys(STAGES, us / len(STAGES)),
        "steps_per_event": 2.0, "state_rows_per_event": 0.5, "state_bytes_per_event": 900.0,
        "batch_rows": 4_000.0,
    }  # fmt: skip


def report(*points: tuple[int, list[float]]) -> dict[str, Any]:
    made = [{"value": value, "runs": [run(us) for us in costs]} for value, costs in points]
    return {"axis": "users", "card_value": 50_000, "points": made}


def test_shares_are_of_the_cards_cost_in_the_same_round():
    first = report((50_000, [10.0, 20.0]), (10_000, [5.0, 16.0]))
    second = report((50_000, [10.0]), (5_000_000, [30.0]))
    points = curves.points_of([first, second])
    assert list(points) == [10_000, 50_000, 5_000_000]
    assert [one["share"] for one in points[10_000]] == pytest.approx([0.5, 0.8])
    assert [one["share"] for one in points[50_000]] == [1.0, 1.0, 1.0]
    text = curves.table("users", points)
    assert "| **50,000** | 10.0 (10.0 to 20.0) | 1.00 (1.00 to 1.00) |" in text
    assert "| 5,000,000 | 30.0 (30.0 to 30.0) | 3.00 (3.00 to 3.00) |" in text


def test_a_chart_is_drawn_the_same_twice(tmp_path: Path):
    points = curves.points_of([report((50_000, [10.0, 20.0]), (10_000, [5.0, 16.0]))])
    for name in ("one.svg", "two.svg"):
        curves.draw("users", points, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_users_that_memory_does_not_hold_are_left_out(capsys: pytest.CaptureFixture[str]):
    assert scale.that_fit(scale.AXES["users"], [10_000, 50_000, 5_000_000], 8 << 30) == [
        10_000,
        50_000,
    ]
    assert "5,000,000 users left out: 16.8 GB, 8.6 free" in capsys.readouterr().out


@pytest.mark.parametrize("name", list(scale.AXES))
def test_the_card_is_a_point_of_each_axis(name: str):
    axis = scale.AXES[name]
    assert axis.card_value in axis.values
    made = axis.setup(axis.card_value)
    assert (made.card, made.items, made.rows_max) == (Card(), Setup().items, Setup().rows_max)


def test_without_onnx_a_bench_ends_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "export.bundles.bench_bundle", raising=False)
    monkeypatch.delitem(sys.modules, "export.bundles.write_bundle", raising=False)
    monkeypatch.delitem(sys.modules, "export.bundles.to_onnx", raising=False)
    with pytest.raises(SystemExit, match=r"the package onnx is not installed: `make setup`"):
        random_bundle.write_random(tmp_path, 10)


def test_an_axis_is_measured_point_by_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(random_bundle, "OUTPUT", tmp_path)
    card = Card(users=200, hidden=8, layers=1)
    axis = scale.Axis("rows", (16, 64), 64, lambda rows: Setup(card, items=50, rows_max=rows))
    points = scale.measure(axis, [16, 64], events=400, rounds=2)
    assert [point["value"] for point in points] == [16, 64]
    assert all(len(point["runs"]) == 2 for point in points)
    assert points[0]["runs"][0]["batch_rows"] <= 16 < points[1]["runs"][0]["batch_rows"]
