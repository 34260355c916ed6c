"""The page takes each rate beside the floor of its own round, and leaves failures out."""

from typing import Any

import pytest

from tests.bench.page import TITLES, rows, table
from tests.bench.run import CONTENDERS, RIVALS


def run(number: int, name: str, rate: float) -> dict[str, Any]:
    return {
        "round": number, "name": name, "mode": "drain",
        "events_per_second": rate, "cpu_us_per_event": 1.0,
    }  # fmt: skip


def test_rates_are_shares_of_the_floor_of_their_round():
    slow = [run(0, "floor", 100.0), run(0, "step", 50.0), run(0, "quix", 5.0)]
    quick = [run(1, "floor", 200.0), run(1, "step", 120.0), run(1, "quix", 20.0)]
    failed = {"round": 1, "name": "faust", "mode": "drain", "error": "no word"}
    found = {row.name: row for row in rows([{"runs": [*slow, *quick, failed]}])}
    assert found["step"].shares == pytest.approx([0.5, 0.6])
    assert found["quix"].ahead == pytest.approx([11.0, 5.5])  # 0.55 over 0.05, over 0.1
    assert "faust" not in found
    assert "| 8.2x (5.5x to 11.0x) | 10x |" in table(list(found.values()))


def test_every_rival_has_a_row():
    assert set(RIVALS) < set(TITLES) <= set(CONTENDERS)
