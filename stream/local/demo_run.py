"""The demo: a broker, topics of its own, a worker, a simulated shop, and a screen; then all gone.

Rules of the room: every thing that is started or made is held by a context that ends it, in the
reverse order; the orderly end (shop stops, worker drains, worker stops) comes before. The first
signal asks for that end, a second one skips the waiting.
"""

import os
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from stream.local.children import Child, ChildError, forecart
from stream.local.console import Place, Screen
from stream.local.demo_broker import Kafka, Reading, broker_for, topics_of
from stream.local.tally import TOPICS, Tally, View
from stream.settings import Settings
from stream.wire.topics import INPUTS

READY_S: Final = 300.0  # a first start compiles for half a minute, on two idle cores
SHOP_STOP_S: Final = 15.0
DRAIN_S: Final = 30.0
WORKER_STOP_S: Final = 20.0
TICK_S: Final = 0.1
ITEMS: Final = 2_000  # the shipped bundle's catalogue
EVENTS_PER_USER_DAY: Final = 1.65  # of the simulated shop, measured
DAYS_PER_S: Final = 3.0  # shop time: who is silent for two weeks shows within a quarter minute
USERS_MIN: Final = 50
SHOP: Final[dict[str, Any]] = {
    # A sweep ends a batch. In ten minutes of shop time, which pass in 2 ms here, comes one event.
    "bucket_ms": 12 * 3_600_000,
    "source_gap_ms_max": 12 * 3_600_000,  # a small shop sleeps at night: no outage
    # Of the shop's people who were silent for two weeks, half come back within the next.
    "churn_enter": 0.5,
    "churn_leave": 0.35,
    "churn_high": 0.65,
}
DAYS_MIN: Final = 30.0
DAYS_ENDLESS: Final = 3_650.0  # without --seconds: twenty minutes


@dataclass(frozen=True, slots=True)
class Demo:
    """What the user asked for."""

    seconds: float | None = None  # of trade; None: until Ctrl-C
    rate: float = 1_000.0  # events/s
    keep: bool = False  # leave the topics
    seed: int = 1

    @property
    def users(self) -> int:
        """So many that their events at the rate make DAYS_PER_S of the shop."""
        return max(USERS_MIN, round(self.rate / EVENTS_PER_USER_DAY / DAYS_PER_S))

    @property
    def days(self) -> float:
        """Of trade: enough for the seconds, with a third to spare."""
        if self.seconds is None:
            return DAYS_ENDLESS
        return max(DAYS_MIN, self.seconds * DAYS_PER_S * 4 / 3)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went."""

    view: View
    seconds: float  # of trade
    drained: bool

    @property
    def summary(self) -> str:
        """Write the last line of the demo. Latency is what Tally says: produce to readable."""
        view = self.view
        rate = view.events / self.seconds if self.seconds > 0 else 0.0
        return (
            f"events={view.events} predictions={view.predictions} alerts={view.alerts} "
            f"dead_letters={view.dead_letters} duplicates={view.duplicates} "
            f"events_per_second={rate:.0f} "
            f"p50_ms={view.total_p50_ms} p99_ms={view.total_p99_ms}"
        )


class Stop:
    """Set by signals: `asked` by the first, `hurry` by the second."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.hurry = threading.Event()

    def __call__(self) -> None:
        """Take a signal."""
        (self.hurry if self.asked.is_set() else self.asked).set()


class Watcher(threading.Thread):
    """Reads all topics of the run, committed records only, into a tally."""

    def __init__(self, reading: Callable[[], Reading], settings: Settings, tally: Tally) -> None:
        super().__init__(name="demo-watcher", daemon=True)
        self._reading = reading
        self._settings = settings
        self._tally = tally
        self._stop_asked = threading.Event()
        self._error: Exception | None = None
        self.idle_s = time.monotonic()  # when nothing was there to read, last

    def run(self) -> None:
        """Read until told to stop."""
        try:
            self._read()
        except Exception as error:  # noqa: BLE001 raised again by check(), in the main thread
            self._error = error

    def _read(self) -> None:
        names = [self._settings.topic(name) for name in TOPICS]
        with self._reading() as reader:
            starts = {(n, p): 0 for n in names for p in range(self._settings.partitions)}
            for record in reader.follow(starts):
                if record is None:
                    self.idle_s = time.monotonic()
                else:
                    self._tally.add(record, time.time())
                if self._stop_asked.is_set():
                    return

    def check(self) -> None:
        """Raise what stopped it, if something did."""
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Stop, and wait for it."""
        self._stop_asked.set()
        self.join(10)


def run(
    settings: Settings, demo: Demo, kafka: Kafka, screen_of: Callable[[Place], Screen], stop: Stop
) -> Outcome:
    """Run a demo to its end. Raises the errors of the broker, of the topics, and ChildError."""
    prefix = f"demo-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-"
    logs = settings.state_path / "demo" / prefix.rstrip("-")
    with ExitStack() as stack:
        bootstrap = stack.enter_context(broker_for(settings))
        port = web_port(settings)
        mine = replace(
            for_the_shop(settings),
            broker=bootstrap,
            topic_prefix=prefix,
            group=prefix + "worker",
            web_port=port,
        )
        reading = partial(kafka.reading, bootstrap)
        stack.enter_context(topics_of(kafka.topics(bootstrap, mine), keep=demo.keep))
        worker = stack.enter_context(forecart(["worker"], mine, logs / "worker.log"))
        tally = Tally(prefix)
        watcher = Watcher(reading, mine, tally)
        watcher.start()
        stack.callback(watcher.end)
        place = Place(bootstrap, f"http://{mine.web_bind}:{port}/metrics", prefix)
        screen = stack.enter_context(screen_of(place))
        wait_ready(worker, mine, screen, stop)
        if stop.asked.is_set():
            outcome = Outcome(View(), 0.0, drained=True)
        else:
            shop = stack.enter_context(forecart(shop_arguments(demo), mine, logs / "simulate.log"))
            seconds = trade(demo, shop, worker, watcher, tally, screen, stop)
            drained = finish(shop, worker, reading, mine, watcher, tally, screen, stop)
            outcome = Outcome(tally.view(time.time()), seconds, drained)
            screen.show(outcome.view)
    shutil.rmtree(logs, ignore_errors=True)  # kept only where something went wrong
    return outcome


def trade(
    demo: Demo,
    shop: Child,
    worker: Child,
    watcher: Watcher,
    tally: Tally,
    screen: Screen,
    stop: Stop,
) -> float:
    """Show what happens until time is up, the shop's time is over, or a signal. Gives seconds."""
    begun: float | None = None  # of the first event
    while not stop.asked.is_set():
        worker.check()
        watcher.check()
        if shop.status is not None:
            if shop.status:
                shop.check()
            break
        now = time.monotonic()
        if begun is None and tally.events:
            begun = now
        if demo.seconds is not None and begun is not None and now - begun >= demo.seconds:
            break
        screen.show(tally.view(time.time()))
        stop.asked.wait(TICK_S * 2.5)
    return time.monotonic() - begun if begun is not None else 0.0


def finish(
    shop: Child,
    worker: Child,
    reading: Callable[[], Reading],
    settings: Settings,
    watcher: Watcher,
    tally: Tally,
    screen: Screen,
    stop: Stop,
) -> bool:
    """End in order: shop, then what is under way, then worker. False: not all came through."""
    shop.ask_to_stop()
    if not _wait(lambda: shop.status is not None, SHOP_STOP_S, stop):
        shop.kill()
    with reading() as reader:
        ranges = reader.ranges([settings.topic(name) for name in INPUTS], stable=False)
    total = sum(end for _, end in ranges.values())

    def drained() -> bool:
        worker.check()
        watcher.check()
        screen.show(tally.view(time.time()))
        return tally.committed >= total and tally.events >= total

    through = _wait(drained, DRAIN_S, stop)
    if through:  # the last receipts were read; the last predictions may come in another answer
        seen = time.monotonic()
        _wait(lambda: watcher.idle_s > seen, DRAIN_S, stop)
    worker.ask_to_stop()
    if not _wait(lambda: worker.status is not None, WORKER_STOP_S, stop):
        worker.kill()
    elif worker.status:
        raise ChildError(f"{worker.name} ended with status {worker.status}: {worker.last_words()}")
    watcher.end()
    return through


def wait_ready(worker: Child, settings: Settings, screen: Screen, stop: Stop) -> None:
    """Wait until the worker says that it is ready. Raises ChildError."""
    url = f"http://{settings.web_bind}:{settings.web_port}/readyz"
    begun = time.monotonic()

    def ready() -> bool:
        screen.wait(time.monotonic() - begun)
        if stop.asked.is_set():
            return True
        worker.check()
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False

    if not _wait(ready, READY_S, stop):
        raise ChildError(
            f"{worker.name} is not ready after {READY_S:g} s. A first start compiles, which takes"
            " long on a busy machine; the next goes on from there. Its last words: "
            + worker.last_words()
        )


def shop_arguments(demo: Demo) -> list[str]:
    """Say how the shop is simulated."""
    return [
        "simulate",
        *("--seed", str(demo.seed)),
        *("--users", str(demo.users)),
        *("--items", str(ITEMS)),
        *("--days", str(demo.days)),
        *("--rate", str(demo.rate)),
    ]


def for_the_shop(settings: Settings) -> Settings:
    """Fit what the user left at its default to a small shop that lives three days a second."""
    usual = Settings()
    fitted = {
        name: value
        for name, value in SHOP.items()
        if getattr(settings, name) == getattr(usual, name)
    }
    return replace(settings, **fitted)


def web_port(settings: Settings) -> int:
    """Choose the worker's port: the one of the settings if it is free, else any."""
    for port in (max(0, settings.web_port), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.web_bind, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ChildError(f"no free port on {settings.web_bind}")


def _wait(done: Callable[[], bool], seconds: float, stop: Stop) -> bool:
    """Wait until `done()` holds; False: too late, or told to hurry."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until or stop.hurry.is_set():
            return False
        time.sleep(TICK_S)
    return True
