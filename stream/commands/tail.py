"""`forecart tail`: predictions or alerts as they are committed, a line each."""

import json
from collections.abc import Iterator
from typing import Any

import click

from stream.commands.options import reader_of, with_settings
from stream.commands.terminal import harmless, moment
from stream.settings import Settings
from stream.shell.reader import Reader, Record
from stream.wire.topics import ALERTS, PREDICTIONS

TOPIC_OF = {"predictions": PREDICTIONS, "alerts": ALERTS}
ITEMS_SHOWN = 3


@click.command()
@click.argument("what", type=click.Choice(list(TOPIC_OF)))
@click.option("--from-beginning", is_flag=True, help="Start with the oldest that is kept.")
@click.option(
    "--follow/--no-follow", default=True, show_default=True, help="Go on when the end is reached."
)
@click.option("--user", help="Only of this user.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many.")
@click.option("--json", "as_json", is_flag=True, help="The messages as they are, a line each.")
@with_settings
def command(
    what: str,
    from_beginning: bool,
    follow: bool,
    user: str | None,
    count: int | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Show predictions or alerts as they come, until Ctrl-C.

    Example: forecart tail predictions --user u17 --from-beginning --count 5
    """
    write = _as_is if as_json else (_prediction if what == "predictions" else _alert)
    shown = 0
    with reader_of(settings) as reader:
        topic = settings.topic(TOPIC_OF[what])
        for record in _records(reader, topic, from_beginning=from_beginning, follow=follow):
            if user is not None and record.key != user.encode():
                continue
            click.echo(write(record))
            shown += 1
            if shown == count:
                return


def _records(reader: Reader, topic: str, *, from_beginning: bool, follow: bool) -> Iterator[Record]:
    ranges = reader.ranges([topic])
    starts = {place: first if from_beginning else end for place, (first, end) in ranges.items()}
    if not follow:
        yield from reader.records({place: (starts[place], ranges[place][1]) for place in ranges})
        return
    for record in reader.follow(starts):
        if record is not None:
            yield record


def _as_is(record: Record) -> str:
    return (record.value or b"null").decode(errors="backslashreplace")


def _prediction(record: Record) -> str:
    note = _note(record)
    if note is None:
        return _unreadable(record)
    names = ", ".join(harmless(item["item_id"]) for item in note["items"][:ITEMS_SHOWN]) or "-"
    event, chance = max(note["next_event"].items(), key=lambda pair: pair[1])
    churn = note["churn_probability"]
    marks = " late" if note["late"] else ""
    return (
        f"{moment(note['as_of'])}  {harmless(note['user_id'])}  next {event} {chance:.2f}"
        f"  buys {note['purchase_probability']:.2f} ({note['purchase_horizon']})"
        f"  churn {'-' if churn is None else f'{churn:.2f}'}  items {names}{marks}"
    )


def _alert(record: Record) -> str:
    note = _note(record)
    if note is None:
        return _unreadable(record)
    churn = note["churn_probability"]
    reason = f" ({note['reason']})" if note["reason"] else ""
    return (
        f"{moment(note['starts_at'])}  {harmless(note['user_id'])}"
        f"  {note['previous_state']} -> {note['state']}{reason}  {note['level']}"
        f"  churn {'-' if churn is None else f'{churn:.2f}'}"
        f"  silent {note['silence_seconds'] / 3600:.1f} h  alert {note['alert_id']}"
    )


def _note(record: Record) -> dict[str, Any] | None:
    try:
        note = json.loads(record.value or b"")
    except ValueError:
        return None
    return note if isinstance(note, dict) else None


def _unreadable(record: Record) -> str:
    what = "erased" if record.value is None else "unreadable"
    return f"{record.topic}-{record.partition}-{record.offset}: {what}"
