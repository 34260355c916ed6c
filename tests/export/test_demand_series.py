"""Demand's series: what counts, which periods, which series; and what is refused, in one line."""

from pathlib import Path

import numpy as np
import pytest

from export.dataset.file_log import FileSource, file_log
from export.dataset.names import Names
from export.dataset.shop_log import shop_log
from export.demand.activity import Activity, DemandError, of_log, of_purchases
from export.demand.question import CALENDARS, HOUR_MS
from export.demand.series import SeriesSet, series_of, split_of
from export.demand.windows import fit_scale, horizon_sums, inputs_of, recursive_paths
from export.returns.purchases import read_purchases
from stream.core.config import DAY_MS
from stream.core.layout import ACTIONS
from stream.local.shop import Shop
from stream.local.shop_faults import Fault

DAY = CALENDARS["day"]
MONDAY = 1_767_571_200_000  # 5 January 2026


def activity(rows: list[tuple[str, float, str, int]]) -> Activity:
    """Rows of item, day, action and quantity; each piece costs 2."""
    items = sorted({row[0] for row in rows})
    quantity = np.array([row[3] for row in rows], np.float64)
    return Activity(
        items=items,
        categories=["c"],
        item=np.array([items.index(row[0]) for row in rows]),
        category=np.zeros(len(rows), np.int64),
        time_ms=np.array([MONDAY + int(row[1] * DAY_MS) for row in rows]),
        action=np.array([ACTIONS.index(row[2]) for row in rows]),
        quantity=quantity,
        money=2 * quantity,
    )


ROWS = [("a", 0.5, "view", 1), ("a", 1.0, "purchase", 3), ("b", 1.999, "purchase", 1)]
ROWS += [("a", 2.0, "view", 1), ("a", 2.5, "cart", 1), ("b", 3.0, "purchase", 2)]
ROWS += [("a", day + 0.1, "view", 1) for day in (3, 3, 4, 5)]


@pytest.mark.parametrize(
    ("by", "measure", "expected"),
    [
        ("item", "units", {"a": [3, 0, 0, 0], "b": [1, 0, 2, 0]}),
        ("item", "purchases", {"b": [1, 0, 1, 0], "a": [1, 0, 0, 0]}),
        ("item", "views", {"a": [0, 1, 2, 1]}),
        ("total", "revenue", {"all": [8, 0, 4, 0]}),
        ("category", "carts", {"c": [0, 1, 0, 0]}),
    ],
)
def test_whole_days_are_counted(by: str, measure: str, expected: dict[str, list[int]]) -> None:
    made = series_of(activity(ROWS), by, measure, DAY, series_max=9)
    assert dict(zip(made.names, made.counts.tolist(), strict=True)) == expected
    assert DAY.start_ms(made.period_first) == MONDAY + DAY_MS


def test_the_test_part_has_no_say_in_which_series_are_taken() -> None:
    rows = [("late", 9.5, "purchase", 99), ("early", 1.5, "purchase", 2)]
    rows += [("other", 1.5, "purchase", 1), ("other", 9.2, "purchase", 90)]
    rows += [("early", 0.0, "purchase", 1), ("early", 11.5, "purchase", 1)]
    made = series_of(activity(rows), "item", "units", DAY, series_max=1)
    assert made.names == ["early"]
    with pytest.raises(DemandError, match="'late' has nothing to learn from"):
        series_of(activity(rows), "item", "units", DAY, only=["late"], series_max=9)


def test_what_cannot_be_counted_is_said_in_a_line() -> None:
    made = activity(ROWS)
    with pytest.raises(DemandError, match=r"no 'c9' in the data; the largest are a, b"):
        series_of(made, "item", "units", DAY, only=["c9"], series_max=9)
    with pytest.raises(DemandError, match="no carts by item in"):
        series_of(activity(ROWS[:2] + ROWS[5:]), "item", "carts", DAY, series_max=9)
    with pytest.raises(DemandError, match="none is whole"):
        series_of(activity(ROWS[:2]), "item", "units", DAY, series_max=9)
    with pytest.raises(DemandError, match="is a time wrong"):
        series_of(activity([*ROWS, ("a", 90_000.0, "view", 1)]), "item", "views",
                  CALENDARS["hour"], series_max=9)  # fmt: skip
    with pytest.raises(DemandError, match="no event has an item"):
        series_of(activity([]), "item", "views", DAY, series_max=9)
    no_price = activity(ROWS)
    no_price.money[:] = np.nan
    with pytest.raises(DemandError, match="no purchase has a price"):
        series_of(no_price, "item", "revenue", DAY, series_max=9)


def test_too_few_periods_are_refused_with_the_number_that_is_needed() -> None:
    for periods in (30, 46):
        with pytest.raises(DemandError, match=rf"{periods} whole periods are too few .*: 47 are"):
            split_of(periods, 28, 7, 7)
    assert split_of(47, 28, 7, 7).fit == 29, "one target after the first window"
    made = split_of(100, 28, 7, 7)
    assert (made.fit, made.train, made.total) == (64, 80, 100)


def test_seasons_and_durations() -> None:
    made = SeriesSet(["a"], np.zeros((1, 8)), MONDAY // DAY_MS, DAY, "units", "item")
    index = made.season_index(7)
    assert index.tolist() == [(index[0] + day) % 7 for day in range(9)]
    week = CALENDARS["week"]
    assert (MONDAY - week.offset_ms) % week.period_ms == 0
    assert [DAY.duration(7), week.duration(1), CALENDARS["hour"].duration(24)] == [
        "P7D", "P7D", "P1D",
    ]  # fmt: skip
    assert CALENDARS["hour"].duration(36) == "PT36H"


def test_windows_end_before_their_target() -> None:
    counts = np.arange(20.0).reshape(2, 10)
    scale = fit_scale(counts, 5)
    index = np.arange(11, dtype=np.int32) % 7
    made = inputs_of(counts, scale, index, 3, 8, 11)
    assert made.counts.tolist()[:3] == [[5, 6, 7], [6, 7, 8], [7, 8, 9]]
    assert made.counts.tolist()[5] == [17, 18, 19]
    assert made.season_index.tolist() == [1, 2, 3] * 2
    assert scale == pytest.approx(np.arange(5).std())
    still = fit_scale(np.ones((1, 9)), 5)
    assert still.tolist() == [1.0], "a series that does not move"
    paths = recursive_paths(
        lambda x: x.counts.sum(axis=1) + 100 * x.season_index, made.rows(np.array([0])), 7, 2
    )
    assert paths.tolist() == [[118, 6 + 7 + 118 + 200]]
    assert horizon_sums(counts[:1, :4], 3).tolist() == [[3, 6]]


def test_a_file_and_a_file_of_purchases_become_activity(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "user_id,item_id,category,event_type,event_time,price,quantity\n"
        "u1,a,red,click,2026-01-05T01:00:00,2.5,\n"
        "u1,a,red,purchase,2026-01-05T02:00:00,2.5,3\n"
        "u2,b,,purchase,2026-01-05T03:00:00,,1\n"
    )
    names = Names()
    log, _ = file_log(FileSource([path]), names)
    made = of_log(log, names)
    assert sorted(made.items) == ["a", "b"]
    named = [made.items[item] for item in made.item]
    assert named == ["a", "a", "b"]
    assert [made.categories[c] if c >= 0 else None for c in made.category] == ["red", "red", None]
    assert made.quantity.tolist() == [1, 3, 1]
    assert made.money[1] == 7.5
    assert np.isnan(made.money[2])
    assert (made.time_ms - MONDAY).tolist() == [HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS]
    path = tmp_path / "purchases.txt"
    lines = ("1 19970101 2 9.50", "2 19970102 1 4", "2 19970103 1 5", "3 19970104 1 6")
    path.write_text("\n".join(["customer date units money", *lines]))
    bought = of_purchases(read_purchases(path))
    day = series_of(bought, "total", "revenue", DAY, series_max=1)
    assert day.counts.tolist() == [[4, 5]], "1 and 4 January are at the ends"
    assert bought.money.tolist() == [9.5, 4, 5, 6]


def test_an_event_that_came_twice_counts_once() -> None:
    def shop() -> Shop:
        return Shop(5, 60, items=200, days=6)

    rows = np.concatenate([block.rows for block in shop().events()])
    good = rows[np.isin(rows["fault"], [Fault.NONE, Fault.LATE]) & (rows["item"] >= 0)]
    twice = ((rows["fault"] == Fault.DUPLICATE) & (rows["item"] >= 0)).sum()
    names = Names()
    made = of_log(shop_log(shop(), names), names)
    assert twice > 0
    assert made.left_out >= twice
    views = np.isin(made.action, [ACTIONS.index("view"), ACTIONS.index("click")])
    seen = np.isin(good["action"], [ACTIONS.index("view"), ACTIONS.index("click")])
    assert views.sum() == seen.sum()
    assert set(made.items) <= set(Shop(5, 1, items=200).catalogue.item_ids)
