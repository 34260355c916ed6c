"""`forecart state USER`: what is kept of one user, read from the changelog."""

import json
from typing import TYPE_CHECKING, Any

import click

from stream.commands.options import reader_of, with_settings
from stream.commands.terminal import duration, harmless, moment, write_table
from stream.flow.described import WINDOWS, describe
from stream.settings import Settings
from stream.wire.murmur2 import partition_of
from stream.wire.state import HEADER_KEY, decode_header, decode_row
from stream.wire.state_check import StateError
from stream.wire.topics import STATE

if TYPE_CHECKING:
    from stream.shell.reader import Record


@click.command()
@click.argument("user")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def command(user: str, as_json: bool, settings: Settings) -> None:
    """Show what is kept of one user: window, counters, last scores, alert.

    Reads the user's partition of the state topic to its end; a worker need not run. USER is the
    key: a user id, or `anon:` and an anonymous id. Items, categories and words are kept as hashes.

    Example: forecart state u17
    """
    key = user.encode()
    topic = settings.topic(STATE)
    last: Record | None = None
    newest = b""
    with reader_of(settings) as reader:
        number = partition_of(key, reader.partitions(topic))
        place = (topic, number)
        for record in reader.records({place: reader.ranges([topic])[place]}):
            if record.key == key:
                last = record
            elif record.key == HEADER_KEY and record.value:
                newest = record.value
    if last is None or last.value is None:
        why = "it was never seen" if last is None else "it was erased, has expired or was evicted"
        raise click.ClickException(f"no state of user {user!r} in {topic}-{number}: {why}")
    try:
        row, steps = decode_row(last.value)
        header = decode_header(newest)
    except StateError as error:
        raise click.ClickException(f"{topic}-{number}-{last.offset}: {error}") from error
    note = {
        "user_id": user,
        "partition": number,
        "offset": last.offset,
        "written_at": last.timestamp_ms,
        "bytes": len(last.value),
        **describe(row, steps, header),
    }
    if as_json:
        click.echo(json.dumps(note))
    else:
        _write(note)


def _write(note: dict[str, Any]) -> None:
    click.echo(
        f"user {harmless(note['user_id'])}, partition {note['partition']}, epoch {note['epoch']},"
        f" {note['bytes']} bytes written {moment(note['written_at'])}"
    )
    click.echo(
        f"{note['predictions']} predictions, {note['steps_accepted']} steps accepted,"
        f" {note['late_events']} late events, last event {_moment(note['last_event_at'])}"
    )
    click.echo("\ncounters (sliding, up to the last event)")
    write_table(
        ("type", *WINDOWS),
        [(name, *counts.values()) for name, counts in note["counters"]["sliding"].items()],
    )
    scores = note["scores"]
    chances = ", ".join(f"{name} {_share(p)}" for name, p in scores["next_event"].items())
    click.echo("\nlast scores")
    click.echo(f"next event: {chances}")
    click.echo(f"purchase: {_share(scores['purchase'])}, churn: {_share(scores['churn'])}")
    alert = note["alert"]
    click.echo(f"\nalert: {alert['state']}{_alert(alert)}")
    due_s = alert["next_check_in_seconds"]
    check = "none" if due_s is None else f"in {duration(max(0.0, due_s * 1000))}"
    silence = duration(max(0.0, note["silence_seconds"] * 1000))
    click.echo(f"silent for {silence} of shop time; next check {check}")
    click.echo(f"\nwindow: {len(note['window'])} steps, oldest first; hashes")
    rows = [
        (
            moment(step["time"]),
            step["type"],
            step["action"],
            step["item"] or "-",
            "-" if step["price_cents"] is None else f"{step['price_cents'] / 100:.2f}",
            step["quantity"],
            step["category"] or "-",
            " ".join(step["tokens"]) or "-",
            step["source"],
        )
        for step in note["window"]
    ]
    head = ("time", "type", "action", "item", "price", "quantity", "category", "words", "source")
    write_table(head, rows)


def _alert(alert: dict[str, Any]) -> str:
    if alert["transitions"] == 0:
        return ", none so far"
    reason = "" if alert["reason"] == "none" else f", {alert['reason']}"
    return (
        f" ({alert['level']}{reason}), silent since {_moment(alert['silence_starts_at'])}, fired"
        f" {_moment(alert['fired_at'])}"
    )


def _moment(time_ms: int | None) -> str:
    return "never" if time_ms is None else moment(time_ms)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
