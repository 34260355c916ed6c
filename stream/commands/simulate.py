"""`forecart simulate`: publish the events of a simulated shop, with the truth beside them."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click

from stream.commands.options import Number, bootstrap_of, with_settings
from stream.core.layout import TOPICS
from stream.local.publish import Pace, Published, Publisher, PublishError, run_paced
from stream.local.shop import Shop
from stream.local.shop_faults import FaultRates
from stream.local.shop_people import DAY_MS
from stream.local.truth import TruthWriter
from stream.settings import Settings

INTERRUPTED = 130
HOUR_S = 3_600


def _share(name: str, default: float, text: str) -> Callable[[Any], Any]:
    return click.option(
        f"--{name}", default=default, show_default=True, type=Number(0, 0.5), help=text
    )


@click.command()
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="Same seed, same shop."
)
@click.option(
    "--users", default=1_000, show_default=True, type=click.IntRange(1), help="Who may come."
)
@click.option(
    "--items", default=2_000, show_default=True, type=click.IntRange(12), help="What is sold."
)
@click.option(
    "--days",
    default=60.0,
    show_default=True,
    type=Number(0, min_open=True),
    help="Simulated days; the last one ends now.",
)
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="First day (UTC), in place of DAYS ago: with the same seed, the same bytes.",
)
@click.option("--rate", type=Number(0, min_open=True), help="Events a second.  [default: 1000]")
@click.option(
    "--speed",
    type=Number(0, min_open=True),
    help="Simulated seconds a second, in place of a rate.",
)
@click.option("--full-speed", is_flag=True, help="As fast as Kafka takes them.")
@click.option("--events", type=click.IntRange(1), help="Stop after so many events.")
@click.option("--seconds", type=Number(0, min_open=True), help="Stop after so long.")
@_share("duplicates", 0.01, "Share of events sent twice.")
@_share("late", 0.01, "Share of events delivered late.")
@_share("bots", 0.005, "Events of bots, as a share.")
@_share("poison", 0.002, "Records that cannot be used, as a share.")
@_share("future", 0.0005, "Events from the future, as a share.")
@_share("skewed-users", 0.01, "Users whose clock is hours wrong.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what is true of the run to this file (JSON lines).",
)
@with_settings
def command(
    settings: Settings,
    seed: int,
    users: int,
    items: int,
    days: float,
    start: datetime | None,
    rate: float | None,
    speed: float | None,
    full_speed: bool,
    events: int | None,
    seconds: float | None,
    truth: Path | None,
    **shares: float,
) -> None:
    """Publish the events of a simulated shop: clicks, searches and purchases.

    Simulated time runs from DAYS ago until now. All events are synthetic and say so. Ctrl-C stops
    cleanly, with status 130.

    Example: forecart simulate --users 5000 --rate 2000 --truth truth.jsonl
    """
    if sum((rate is not None, speed is not None, full_speed)) > 1:
        raise click.UsageError("give one of --rate, --speed and --full-speed")
    if rate is None and speed is None and not full_speed:
        rate = 1_000.0
    try:
        start_ms = _start_ms(start, days)
        names = [settings.topic(name) for name in TOPICS]
        publisher = Publisher(bootstrap_of(settings), names, settings.security)
        shop = Shop(
            seed,
            users,
            items,
            days,
            start_ms=start_ms,
            faults=FaultRates(**shares),
            partitions=publisher.partitions,
        )
        with ExitStack() as stack:
            writer = stack.enter_context(TruthWriter(truth, shop)) if truth else None
            stop = stack.enter_context(stop_on_signal())
            line = ProgressLine(shop.start_ms, shop.end_ms)
            done = run_paced(
                publisher, shop.events(), Pace(rate, speed), stop=stop, records_max=events,
                seconds_max=seconds, on_sent=writer.sent if writer else None, on_progress=line.show,
            )  # fmt: skip
            line.clear()
            if writer:
                writer.finish(done.stream_ms)
    except (PublishError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(summary(done))
    if truth:
        click.echo(f"truth: {truth}")
    if done.ended == "stopped":
        raise click.exceptions.Exit(INTERRUPTED)


def _start_ms(start: datetime | None, days: float) -> int:
    latest_ms = int(time.time() * 1000) - int(days * DAY_MS)
    if start is None:
        return latest_ms
    start_ms = int(start.replace(tzinfo=UTC).timestamp() * 1000)
    if start_ms > latest_ms:
        raise ValueError(f"--start {start:%Y-%m-%d}: {days:g} days from then reach into the future")
    return start_ms


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C or SIGTERM sets, in place of an exception in mid-send."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ProgressLine:
    """One line on the terminal, written over: count, rate, simulated time and its speed."""

    def __init__(self, start_ms: int, end_ms: int) -> None:
        self._start_ms = start_ms
        self._end_ms = end_ms
        self._shown = click.get_text_stream("stderr").isatty()

    def show(self, done: Published) -> None:
        """Write the line, where a person sees it."""
        if not self._shown or done.stream_ms == 0:
            return
        share = (done.stream_ms - self._start_ms) / (self._end_ms - self._start_ms)
        text = (
            f"{done.records:,} events  {done.rate:,.0f}/s  "
            f"shop time {stamp(done.stream_ms)} ({share:.0%})  {speed_text(done.speed)}"
        )
        click.echo(f"\r\x1b[2K{text}", nl=False, err=True)

    def clear(self) -> None:
        """Make room for what comes after."""
        if self._shown:
            click.echo("\r\x1b[2K", nl=False, err=True)


def summary(done: Published) -> str:
    """Say what was published, in one line."""
    parts = " ".join(f"{name}={n}" for name, n in zip(TOPICS, done.by_topic, strict=True))
    until = f" until={stamp(done.stream_ms)}" if done.records else ""
    return (
        f"events={done.records} {parts} seconds={done.seconds:.1f} "
        f"events_per_second={done.rate:.0f}{until} speed={done.speed:.0f} ended={done.ended}"
    )


def stamp(time_ms: int) -> str:
    """Write a time for people: minutes are enough."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")


def speed_text(speed: float) -> str:
    """Write a speed for people: simulated hours a second, or times real time."""
    return f"{speed / HOUR_S:,.1f} h/s" if speed >= HOUR_S else f"{speed:,.0f}x"
