"""The live page in a real Chromium: of a worker under load, and in states that pass quickly."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.shell.health import Health
from stream.shell.live import Live as LivePage
from stream.shell.metrics import Metrics
from stream.shell.web import PAGE, Web
from tests.deployment import until
from tests.kafka_tools import delete_topics
from tests.ops import axe
from tests.ops.browser import Browser, Page
from tests.ops.live import Live

TOKEN = "a-token-for-the-tests"  # noqa: S105
USER = re.compile(r"\bu\d{7}\b")
BYTES_MAX = 200_000
SOON_S = 20.0
pytestmark = [pytest.mark.operations, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def live(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    started = Live(kafka, tmp_path_factory.mktemp("page"), token=TOKEN)
    try:
        started.deployment.start().wait_said(" running\n", 180)
        yield started
    finally:
        started.stop()
        delete_topics(kafka, started.prefix)


@pytest.fixture
def page(browser: Browser, live: Live) -> Iterator[Page]:
    opened = browser.page()
    opened.screen(1280, 900)
    opened.open(f"http://127.0.0.1:{live.port}/")
    until(lambda: opened.text("#state") != "loading", "the first answer", SOON_S)
    yield opened
    opened.close()


def predicted(page: Page) -> int:
    """How many predictions the page says there were."""
    return int(re.search(r"predicted\s+([\d,]+)", page.text("#flow"))[1].replace(",", ""))


def unlock(page: Page) -> None:
    """Give the token by asking for a user that nobody knows."""
    page.type("#token", TOKEN)
    page.type("#user", "nobody at all")
    page.press_enter()
    until(lambda: "keeps nothing of this user" in page.text("#user-said"), "no user", SOON_S)
    until(lambda: USER.search(page.text("#predictions")), "users in the table", SOON_S)


def open_user(page: Page) -> None:
    page.click("#predictions .link")
    until(lambda: "Last scores" in page.text("#found"), "a user", SOON_S)


@pytest.mark.kafka
class TestLive:
    def test_nothing_has_come_yet(self, page):
        """First of these: the load starts at its end."""
        assert page.text("#state") == "running"
        assert "None yet. Events on clicks" in page.text("#predictions-none")
        assert page.text("#rate") in {"\N{EN DASH}", "0"}
        assert page.text("#latency-note") == "nothing was committed in the last 10 s"

    def test_numbers_move_and_no_user_is_shown(self, live, page):
        live.start_load()
        until(lambda: page.text("#rate").isdigit() and int(page.text("#rate")) > 50, "events", 60)
        before, newest = predicted(page), page.text("#predictions tbody tr")
        until(lambda: predicted(page) > before + 100, "predictions", SOON_S)
        until(lambda: page.text("#predictions tbody tr") != newest, "a newer one", SOON_S)
        until(lambda: page.text("#p99").replace(",", "").isdigit(), "a latency", SOON_S)
        assert re.search(r"median [\d,]+; (over|within) the objective of 1,000", page.text("main"))
        assert "demo-" in page.text("#model")
        assert re.search(r"(clicks|searches|purchases)-\d-\d+", page.text("#predictions"))
        told = page.js("document.documentElement.outerHTML")
        raw = page.js("fetch('live').then((answer) => answer.text())")
        assert not USER.search(told + raw)
        assert '"items"' not in raw
        lines = "document.querySelectorAll('.curve .line').length"
        until(lambda: page.js(lines) == 3, "curves", SOON_S)

    def test_a_wrong_token_opens_nothing(self, page):
        page.type("#token", TOKEN[:-1] + "x")
        page.type("#user", "u0000001")
        page.click("#find")
        until(lambda: page.text("#user-said") not in {"", "Looking."}, "an answer", SOON_S)
        assert page.text("#user-said") == "Refused: the token is wrong."
        assert page.text("#found") == ""
        before = predicted(page)
        until(lambda: predicted(page) > before, "the page to go on", SOON_S)
        assert not USER.search(page.text("main"))

    def test_a_user_is_looked_up_and_forgotten(self, page):
        unlock(page)
        open_user(page)
        found = page.text("#found")
        assert USER.search(found)[0] == page.js("document.querySelector('#user').value")
        assert re.search(r"Window: \d+ steps, newest first", found)
        assert "Alert, and why" in found
        assert re.search(r"churn probability 0\.\d\d, when last|steps so far; a churn score", found)
        assert re.search(r"forecart explain t\w+-(clicks|searches|purchases)-\d-\d+", found)
        assert re.search(r"\bp\d{5}\b", found)  # an item by its name, which the bundle knows
        page.click("#lock")
        until(lambda: not USER.search(page.text("#predictions")), "the page to forget", SOON_S)
        assert page.text("#found") == ""

    def test_on_a_phone_nothing_is_wider_than_the_screen(self, page):
        page.screen(390, 844, dark=True)
        unlock(page)
        open_user(page)
        assert page.js("document.documentElement.scrollWidth") == 390
        wide = page.js(
            "[...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll')"
            " && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML)"
        )
        assert wide == []
        small = page.js(
            "[...document.querySelectorAll('form button, form input, #theme')].map((e) =>"
            " e.getBoundingClientRect().height).filter((height) => height > 0 && height < 38)"
        )
        assert small == []  # a finger's size

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_axe_finds_nothing(self, page, dark):
        page.screen(1280, 900, dark=dark)
        unlock(page)
        open_user(page)
        assert axe.violations(page) == []

    def test_colours_can_be_chosen(self, page):
        colour = "getComputedStyle(document.body).backgroundColor"
        light = page.js(colour)
        page.click("#theme")
        assert page.js(colour) == light
        page.click("#theme")
        assert page.js(colour) != light
        assert page.js("document.querySelector('#theme').ariaLabel") == "Colours: dark"
        page.click("#theme")

    def test_all_comes_from_the_worker_and_is_light(self, live, page):
        names = page.js("performance.getEntriesByType('resource').map((each) => each.name)")
        assert names
        assert all(name.startswith(f"http://127.0.0.1:{live.port}/") for name in names)
        assert sum(path.stat().st_size for path in PAGE.iterdir()) < BYTES_MAX

    def test_a_worker_that_is_gone_and_comes_back(self, live, page):
        """Last of these: it kills the worker."""
        live.deployment.worker().kill()
        until(lambda: page.text("#state") == "no answer", "the page to notice", SOON_S)
        assert "The worker does not answer for" in page.text("#banner")
        assert page.js("document.querySelector('main').classList.contains('stale')")
        live.deployment.start()
        # What it says in between has a test below: a quick start is over between two looks, and one
        # that keeps the processor busy answers none of them.
        until(lambda: page.text("#state") == "running", "the worker", 150)
        until(lambda: page.text("#banner") == "", "the banner to go", SOON_S)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(4)


@pytest.fixture
def starting(browser: Browser, metrics: Metrics) -> Iterator[Page]:
    """The page of a worker that has not started, and has no token."""
    health = Health()
    about = {
        "forecart": "0", "group": "g", "instance": 0, "guarantee": "exactly_once",
        "objective_ms": 1000, "churn_enter": 0.7, "partitions_total": 4,
    }  # fmt: skip
    web = Web("127.0.0.1", 0, metrics, health, LivePage(metrics, health, about, users=False))
    opened = browser.page()
    opened.screen(1280, 900)
    metrics.worker("starting")
    opened.open(web.start() + "/")
    yield opened
    opened.close()
    web.stop()


def test_states_on_the_way_are_told(starting, metrics):
    until(lambda: "A first start compiles" in starting.text("#banner"), "starting", SOON_S)
    assert starting.text("#state") == "starting"
    assert starting.text("#banner").startswith("Not ready: ")
    assert "this worker has no token" in starting.text("#user-off")
    assert starting.text("#user-form") == ""
    metrics.worker("restoring")
    metrics.restoring(2, 12_345)
    until(lambda: starting.text("#state") == "restoring", "restoring", SOON_S)
    assert "12,345 records are still to be restored" in starting.text("#banner")
    assert axe.violations(starting) == []


def test_what_is_wrong_with_the_device_is_told(starting, metrics):
    metrics.provider_wanted("prefer")
    metrics.model("demo-1", "1", "cuda", "float32")
    until(lambda: "cuda" in starting.text("#model"), "the device", SOON_S)
    metrics.provider_fallback()
    until(lambda: "CUDA failed; on the CPU" in starting.text("#model"), "the fallback", SOON_S)
    assert "cpu (provider=prefer)" in starting.text("#model")


def test_a_hidden_page_rests(starting, metrics):
    until(lambda: starting.text("#state") == "starting", "an answer", SOON_S)
    count = (
        "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/live')).length"
    )
    first = starting.js(count)
    starting.js("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    until(lambda: starting.js(count) > first, "the last answer that was on its way", SOON_S)
    rested, began = starting.js(count), time.monotonic()
    until(lambda: time.monotonic() - began > 2.2, "two polls", SOON_S)
    assert starting.js(count) <= rested + 1


def test_the_files_name_nothing_outside():
    for path in PAGE.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]|@import|url\(", text.replace("// ", "")), path
    assert isinstance(PAGE, Path)
