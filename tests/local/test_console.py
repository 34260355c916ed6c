"""The demo's screen, in a terminal and without one."""

import io

from rich.console import Console
from rich.text import Text

from stream.local.console import NAME_CHARS_MAX, Place, Screen, cut
from stream.local.tally import View
from tests.local.test_tally import alert, prediction

PLACE = Place("127.0.0.1:9092", "http://127.0.0.1:6066/metrics", "demo-")
VIEW = View(
    events=1_234,
    predictions=1_200,
    alerts=3,
    dead_letters=7,
    lag=27,
    events_per_second=1_000.4,
    predictions_per_second=998.0,
    p50_ms=210,
    p99_ms=530,
    shop_time_ms=1_700_000_000_000,
    reasons={"undecodable": 7},
    open_alerts=2,
    last_predictions=(prediction(3, user="[red]u-1"),),
    last_alerts=(alert("u-2", "firing"),),
    provider="cpu",
    model_version="shop-1",
)
SHOWN = (
    *("[red]u-1", "click 70%", "p00001", "10%", "20%"),  # prediction: markup is text
    *("u-2", "firing", "at risk", "80%", "2 open"),  # alert
    *("1,000/s", "998/s", "210/530 ms", "27 events", "1,234", "2023-11-14 22:13"),
    *("shop-1", "cpu", "127.0.0.1:9092", "http://127.0.0.1:6066/metrics", "7 (undecodable 7)"),
)


def test_terminal_shows_all_of_it():
    sink = io.StringIO()
    with Screen(Console(file=sink, force_terminal=True, width=120, height=50), PLACE) as screen:
        screen.show(VIEW)
    text = strip(sink.getvalue())
    for words in SHOWN:
        assert words in text, words


def test_terminal_shows_an_empty_view():
    sink = io.StringIO()
    with Screen(Console(file=sink, force_terminal=True, width=120), PLACE) as screen:
        screen.show(View())
    assert "Latest predictions" in strip(sink.getvalue())


def test_lines_come_at_most_once_a_second_and_the_first_prediction_at_once():
    sink = io.StringIO()
    with Screen(Console(file=sink, width=80), PLACE) as screen:
        screen.show(View())
        screen.show(VIEW)
        screen.show(VIEW)
    lines = sink.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("0s events=0 (0/s) predictions=0")
    assert lines[1].startswith("first prediction: [red]u-1: next click 70%, top item p00001")


def test_a_start_that_takes_long_shows_that_it_goes_on():
    sink = io.StringIO()
    with Screen(Console(file=sink, width=80), PLACE) as screen:
        for seconds in (0.0, 4.9, 5.0, 9.9):
            screen.wait(seconds)
    lines = sink.getvalue().splitlines()
    assert [line.partition(" s; ")[0] for line in lines] == [
        f"starting the worker, {seconds}" for seconds in (0, 5)
    ]
    assert lines[0].endswith("the first start compiles, half a minute")
    sink = io.StringIO()
    with Screen(Console(file=sink, force_terminal=True, width=120), PLACE) as screen:
        screen.wait(1.0)
        screen.wait(2.0)
    assert "starting the worker, 2 s" in strip(sink.getvalue())


def test_a_line_names_everything():
    sink = io.StringIO()
    with Screen(Console(file=sink, width=80), PLACE) as screen:
        screen.show(VIEW)
    line = sink.getvalue().splitlines()[-1]
    for words in (
        *("events=1234 (1000/s)", "predictions=1200 (998/s)", "lag=27", "p50=210ms p99=530ms"),
        *("alerts=3 open=2", "dead_letters=7", "shop_time=2023-11-14T22:13"),
        *("provider=cpu model=shop-1", "| alert u-2 firing at_risk"),
    ):
        assert words in line


def test_foreign_names_are_cut_and_made_harmless():
    assert cut("x" * NAME_CHARS_MAX) == "x" * NAME_CHARS_MAX
    assert cut("x" * (NAME_CHARS_MAX + 1)) == "x" * (NAME_CHARS_MAX - 1) + "…"
    assert cut("a\x1b[2Jb\n") == "a?[2Jb?"


def strip(text: str) -> str:
    """Take the escape sequences out."""
    return Text.from_ansi(text).plain
