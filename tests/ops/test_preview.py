"""The preview draws what a Prometheus says: values by unit, words for nothing, every panel."""

import json
import math

import pytest

from deploy.dashboards.ask import Prometheus, Series, filled
from deploy.dashboards.preview import FILL, FOLDER, Preview, legend
from deploy.dashboards.units import on_axis, shown

START, END = 1_000_000.0, 1_000_600.0


class Answers(Prometheus):
    """Says the same to every question."""

    def __init__(self, *answers: Series) -> None:
        super().__init__("http://nowhere")
        self.answers = list(answers)
        self.exprs: list[str] = []

    def now(self, expr: str, at: float | None = None) -> list[Series]:
        self.exprs.append(expr)
        return self.answers

    def over(self, expr: str, start: float, end: float, step_s: float) -> list[Series]:
        self.exprs.append(expr)
        return self.answers


PAGES = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def series(le: str, scale: float = 1.0) -> Series:
    labels = {"topic": "clicks", "le": le, "stage": "commit", "instance": "<w>"}
    return Series(labels, [(START + 60 * n, scale * n) for n in range(10)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page["uid"])
def test_every_panel_is_drawn(page):
    asked = Answers(series("1.0"), series("+Inf", 2.0))
    text, height = Preview(asked, START, END, "1m").page(page, "A test.")
    assert "preview: drawn from Prometheus, not by Grafana" in text
    for panel in page["panels"]:
        assert panel["title"].split(",")[0] in text
    assert "$" not in "".join(asked.exprs)
    assert "<w>" not in text
    assert height > 500


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page["uid"])
@pytest.mark.parametrize("answers", [(), (Series({}, [(START, math.nan)]),)])
def test_a_panel_without_data_says_why(page, answers):
    text, _ = Preview(Answers(*answers), START, END, "1m").page(page, "A test.")
    for panel in page["panels"]:
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["noValue"] in text


@pytest.mark.parametrize(
    ("busy", "color", "width"),
    [(0.0, "green", "0.0%"), (0.69, "green", "69.0%"), (0.7, "yellow", "70.0%"),
     (0.85, "red", "85.0%"), (1.3, "red", "100.0%")],
)  # fmt: skip
def test_a_bar_is_as_long_as_its_part_is_busy(busy, color, width):
    (page,) = (page for page in PAGES if page["uid"] == "forecart-overview")
    (panel,) = (panel for panel in page["panels"] if panel["type"] == "bargauge")
    asked = Answers(Series({}, [(START, busy)]))
    text, _ = Preview(asked, START, END, "1m").page(page | {"panels": [panel]}, "A test.")
    assert text.count(f"width:{width};background:{FILL[color]}") == len(panel["targets"])
    assert asked.exprs == [filled(target["expr"], "1m") for target in panel["targets"]]
    for target in panel["targets"]:
        assert f"<span>{target['legendFormat']}</span>" in text


def test_a_legend_says_how_many_more_there_are():
    (page,) = (page for page in PAGES if page["uid"] == "forecart-quality")
    (panel,) = (panel for panel in page["panels"] if panel["title"] == "Dead letters by reason")
    for count, more in ((7, ""), (8, "and 2 more")):
        found = [Series({"reason": f"r{n}"}, [(START, 1.0), (END, 1.0)]) for n in range(count)]
        text, _ = Preview(Answers(*found), START, END, "1m").page(page | {"panels": [panel]}, "")
        assert more in text
        assert text.count("most ") == (7 if not more else 6)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "s", "0"), (0.0123, "s", "12.3 ms"), (59.9, "s", "59.9 s"), (60.0, "s", "1 min"),
        (7200, "s", "2 h"), (0.5, "percentunit", "50.0 %"), (0, "percentunit", "0.0 %"),
        (1536, "bytes", "1.5 KiB"), (1023, "bytes", "1023 B"), (1 << 20, "Bps", "1 MiB/s"),
        (999, "short", "999"), (1500, "short", "1.5k"), (12_345, "eps", "12.3k events/s"),
        (300, "watt", "300 W"), (math.nan, "s", "none"), (0.25, "short", "0.25"),
    ],
)  # fmt: skip
def test_values_are_written_by_their_unit(value, unit, text):
    assert shown(value, unit) == text


def test_an_axis_leaves_out_what_is_said_anyway():
    assert on_axis(1500, "eps") == "1.5k"
    assert on_axis(1500, "s") == "25 min"


def test_a_legend_is_filled_from_labels():
    found = series("1.0")
    assert legend("{{topic}} of {{nothing}}", found) == "clicks of "
    assert "topic=clicks" in legend("__auto", found)
