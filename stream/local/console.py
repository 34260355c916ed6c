"""The demo's screen: a live table in a terminal, one line a second anywhere else.

Rules of the room: drawing only; everything shown is in the View. A user's or item's name comes from
outside, so it is shown as plain text, never as markup, and cut.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream.local.tally import View
from stream.wire.types import ChurnAlert, Prediction

NAME_CHARS_MAX = 18
WAIT_LINE_S = 5.0  # without a terminal: from one line to the next while the worker starts
STATE_STYLES = {"firing": "bold red", "resolved": "green", "churned": "magenta", "normal": ""}


@dataclass(frozen=True, slots=True)
class Place:
    """What stays the same during a run."""

    broker: str
    metrics_url: str
    prefix: str


class Screen:
    """Shows views until closed. In a terminal it redraws; else it prints a line a second."""

    def __init__(self, console: Console, place: Place) -> None:
        self._console = console
        self._place = place
        self._begun_s = time.monotonic()
        self._printed_s = 0.0
        self._waited_s = -WAIT_LINE_S  # said last
        self._first_seen = False
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._console.is_terminal:
            self._live = Live(
                Text("waiting for the first prediction ..."),
                console=self._console,
                auto_refresh=False,
                transient=False,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Leave the last drawing and give the cursor back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self._console.print(Text(text), soft_wrap=True)

    def wait(self, seconds: float) -> None:
        """Say for how long the worker has been starting, and why that may take long."""
        text = f"starting the worker, {seconds:.0f} s; the first start compiles, half a minute"
        if seconds - self._waited_s < (WAIT_LINE_S if self._live is None else 1.0):
            return
        self._waited_s = seconds
        if self._live is None:
            self.say(text)
        else:
            self._live.update(Text(text), refresh=True)

    def show(self, view: View) -> None:
        """Draw a view; in line mode at most once a second, the first prediction at once."""
        now_s = time.monotonic()
        if self._live is not None:
            self._live.update(draw(view, self._place, now_s - self._begun_s), refresh=True)
            return
        if view.last_predictions and not self._first_seen:
            self._first_seen = True
            self.say(f"first prediction: {prediction_line(view.last_predictions[0])}")
        if now_s - self._printed_s >= 1.0:
            self._printed_s = now_s
            self.say(line(view, now_s - self._begun_s))


def draw(view: View, place: Place, seconds: float) -> RenderableType:
    """Draw the whole screen."""
    return Group(
        Panel(_numbers(view, place, seconds), title="Forecart demo: simulated shop", expand=True),
        _predictions(view.last_predictions),
        _alerts(view.last_alerts, view.open_alerts),
        Text(f"dead letters: {reasons(view)}    duplicates: {view.duplicates:,}"),
        Text(f"metrics: {place.metrics_url}    Ctrl-C ends the demo", style="dim"),
    )


def _numbers(view: View, place: Place, seconds: float) -> Table:
    table = Table.grid(padding=(0, 3), expand=True)
    for _ in range(4):
        table.add_column()
    bold = "bold"
    table.add_row(
        _pair("events in", f"{view.events_per_second:,.0f}/s", bold),
        _pair("predictions out", f"{view.predictions_per_second:,.0f}/s", bold),
        _pair("p50/p99", f"{view.p50_ms}/{view.p99_ms} ms", bold),
        _pair("lag", f"{view.lag:,} events", bold),
    )
    table.add_row(
        _pair("events", f"{view.events:,}"),
        _pair("predictions", f"{view.predictions:,}"),
        _pair("alerts", f"{view.alerts:,}"),
        _pair("shop time", shop_time(view.shop_time_ms)),
    )
    table.add_row(
        _pair("model", view.model_version or "-"),
        _pair("provider", view.provider or "-"),
        _pair("broker", place.broker),
        _pair("running", f"{seconds:,.0f} s"),
    )
    return table


def _pair(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, style))


def _predictions(predictions: tuple[Prediction, ...]) -> Table:
    table = Table(title="Latest predictions", title_justify="left", expand=True)
    for name in ("user", "next event", "top item"):
        table.add_column(name, no_wrap=True)
    for name in ("purchase", "churn"):
        table.add_column(name, justify="right")
    for prediction in predictions:
        churn = prediction.churn_probability
        table.add_row(
            Text(cut(prediction.user_id)),
            Text(next_event(prediction)),
            Text(top_item(prediction)),
            Text(f"{prediction.purchase_probability:.0%}"),
            Text("too new" if churn is None else f"{churn:.0%}"),
        )
    return table


def _alerts(alerts: tuple[ChurnAlert, ...], open_alerts: int) -> Table:
    title = f"Churn alerts ({open_alerts:,} open)"
    table = Table(title=title, title_justify="left", expand=True)
    for name in ("shop time", "user", "state", "level", "why"):
        table.add_column(name, no_wrap=True)
    for name in ("churn", "silent for"):
        table.add_column(name, justify="right")
    for alert in alerts:
        churn = alert.churn_probability
        table.add_row(
            Text(shop_time(alert.ends_at or alert.fired_at)),
            Text(cut(alert.user_id)),
            Text(alert.state, style=STATE_STYLES.get(alert.state, "")),
            Text(alert.level.replace("_", " ")),
            Text((alert.reason or alert.trigger).replace("_", " ")),
            Text("-" if churn is None else f"{churn:.0%}"),
            Text(f"{alert.silence_seconds / 86_400:.1f} days"),
        )
    return table


def line(view: View, seconds: float) -> str:
    """Write a view as one line."""
    parts = [
        f"{seconds:.0f}s",
        f"events={view.events} ({view.events_per_second:.0f}/s)",
        f"predictions={view.predictions} ({view.predictions_per_second:.0f}/s)",
        f"lag={view.lag}",
        f"p50={view.p50_ms}ms p99={view.p99_ms}ms",
        f"alerts={view.alerts} open={view.open_alerts}",
        f"dead_letters={view.dead_letters}",
        f"shop_time={shop_time(view.shop_time_ms).replace(' ', 'T')}",
    ]
    if view.provider:
        parts.append(f"provider={view.provider} model={view.model_version}")
    if view.last_predictions:
        parts.append(f"| {prediction_line(view.last_predictions[0])}")
    if view.last_alerts:
        alert = view.last_alerts[0]
        parts.append(f"| alert {cut(alert.user_id)} {alert.state} {alert.level}")
    return " ".join(parts)


def prediction_line(prediction: Prediction) -> str:
    """Write a prediction in a few words."""
    churn = prediction.churn_probability
    return (
        f"{cut(prediction.user_id)}: next {next_event(prediction)}, top item "
        f"{top_item(prediction)}, purchase {prediction.purchase_probability:.0%}, churn "
        + ("too new" if churn is None else f"{churn:.0%}")
    )


def next_event(prediction: Prediction) -> str:
    """Name the likeliest next event and its probability."""
    likely = prediction.next_event
    options = {"click": likely.click, "search": likely.search, "purchase": likely.purchase}
    name = max(options, key=lambda option: options[option])
    return f"{name} {options[name]:.0%}"


def top_item(prediction: Prediction) -> str:
    """Name the first item of the list."""
    return cut(prediction.items[0].item_id) if prediction.items else "-"


def reasons(view: View) -> str:
    """Write the dead letters by reason."""
    if not view.dead_letters:
        return "none"
    listed = ", ".join(f"{reason} {count:,}" for reason, count in view.reasons.items())
    return f"{view.dead_letters:,} ({listed})"


def shop_time(time_ms: int) -> str:
    """Write event time for people."""
    if not time_ms:
        return "-"
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def cut(name: str) -> str:
    """Keep a foreign name short and printable."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return name if len(name) <= NAME_CHARS_MAX else name[: NAME_CHARS_MAX - 1] + "…"
