"""The log: what a JSON line holds, and how little is written when something fails all the time."""

import io
import json
import logging
import time
from collections.abc import Iterator

import pytest

from stream.settings import Settings, SettingsError
from stream.shell import logs
from stream.shell.logs import BURST, KINDS_MAX, WINDOW_S, LimitedHandler, open_log
from tests.hand_clock import HandClock

log = logging.getLogger("stream.tests.logs")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("stream")
    kept = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], root.level, ours.level = kept


def notes(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def opened(**changed: str) -> io.StringIO:
    stream = io.StringIO()
    open_log(Settings(**changed), stream)
    return stream


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("offset went back: 41 after 97 on x-clicks[3]", ("x-clicks", 3, None)),
        ("row x-searches-0-41 is set aside", ("x-searches", 0, 41)),
        ("changelog x-user-state-2: read", ("x-user-state", 2, None)),
        ("took partitions [0, 1]", None),
        ("other-x-clicks-1-2", None),
        ("clicks[1] has no prefix", None),
    ],
)
def test_a_json_line_names_the_place(message, place):
    stream = opened(log_format="json", topic_prefix="x-")
    log.warning(message)
    (note,) = notes(stream)
    assert note["message"] == message
    assert (note["level"], note["logger"]) == ("WARNING", "stream.tests.logs")
    assert str(note["time"]).endswith("Z")
    found = tuple(note.get(name) for name in ("topic", "partition", "offset"))
    assert found == (place or (None, None, None))


def test_an_exception_is_one_line_and_no_extra_is_written():
    stream = opened(log_format="json")
    try:
        int("two\nlines")
    except ValueError:
        log.exception("it failed", extra={"password": "5ecret"})
    (note,) = notes(stream)
    assert "ValueError: invalid literal" in str(note["exception"])
    assert stream.getvalue().count("\n") == 1
    assert "5ecret" not in stream.getvalue()


def test_people_read_lines_as_before():
    stream = opened()
    log.info("running")
    assert stream.getvalue().endswith(" INFO stream.tests.logs: running\n")


def test_libraries_stay_at_info():
    stream = opened(log_level="DEBUG", log_format="json")
    logging.getLogger("aiokafka").debug("a whole request")
    log.debug("ours")
    assert [note["message"] for note in notes(stream)] == ["ours"]
    with pytest.raises(SettingsError, match="log_format"):
        Settings(log_format="xml")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def limited(clock: HandClock) -> Iterator[tuple[logging.Logger, LimitedHandler, io.StringIO]]:
    stream = io.StringIO()
    handler = LimitedHandler(stream, clock)
    logger = logging.getLogger("tests.limited")
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, handler, stream
    logger.removeHandler(handler)
    handler.close()


@pytest.mark.parametrize("count", [BURST - 1, BURST, BURST + 1])
def test_a_burst_is_shown_and_the_rest_counted(limited, clock, count):
    logger, handler, stream = limited
    for number in range(count):
        logger.error("no answer from broker %d: %s", number, "refused")
    shown = stream.getvalue().splitlines()
    assert len(shown) == min(count, BURST)
    assert handler.suppressed_count == max(0, count - BURST)
    clock.now = WINDOW_S
    logger.warning("something else")
    lines = stream.getvalue().splitlines()[len(shown) :]
    if count > BURST:
        told = "1 more like this in 10 s, not shown; the last: no answer from broker 5: refused"
        assert lines[0] == told
    assert lines[-1] == "something else"
    assert len(lines) == (2 if count > BURST else 1)


def test_a_flood_that_goes_on_is_six_lines_a_window(limited, clock):
    logger, handler, stream = limited
    for number in range(10_000):
        clock.now = number / 100  # 100 s
        logger.error(f"broker 127.0.0.1:9092 is away after {number} tries")  # noqa: G004 as they do
    assert len(stream.getvalue().splitlines()) <= 10 * (BURST + 1)
    assert handler.suppressed_count > 9_900


def test_kinds_are_apart_and_critical_always_comes(limited):
    logger, _, stream = limited
    for _ in range(3 * BURST):
        logger.error("one %s", "x")
        logger.warning("one %s", "x")
        logger.error("two")
        logger.critical("the end")
    lines = stream.getvalue().splitlines()
    counts = {text: lines.count(text) for text in set(lines)}
    assert counts == {"one x": 2 * BURST, "two": BURST, "the end": 3 * BURST}


def test_what_was_counted_is_said_though_nothing_else_is_logged(monkeypatch):
    monkeypatch.setattr(logs, "WINDOW_S", 0.2)
    stream = io.StringIO()
    handler = LimitedHandler(stream)
    record = logging.LogRecord("a", logging.INFO, "", 0, "took %s", (1,), None)
    for _ in range(2):
        for _ in range(BURST + 2):
            handler.handle(record)
        until = time.monotonic() + 10
        while "2 more like this" not in stream.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
        assert stream.getvalue().splitlines()[-1].endswith("not shown; the last: took 1")
        stream.truncate(0)
    handler.close()


def test_what_was_counted_is_said_at_the_end(limited):
    logger, handler, stream = limited
    for _ in range(BURST + 7):
        logger.error("again")
    handler.close()
    handler.close()
    last = stream.getvalue().splitlines()[-1]
    assert last == "7 more like this in 0 s, not shown; the last: again"
    assert stream.getvalue().count("more like this") == 1


@pytest.mark.parametrize("kinds", [KINDS_MAX, KINDS_MAX + 1])
def test_kinds_are_bounded(limited, kinds):
    logger, handler, stream = limited
    names = ["kind " + "x" * number for number in range(kinds)]
    for _ in range(BURST + 1):
        logger.error(names[0])
    for name in names[1:]:
        logger.error(name)
    assert len(handler._kinds) == min(kinds, KINDS_MAX)
    assert stream.getvalue().count("more like this") == (1 if kinds > KINDS_MAX else 0)
