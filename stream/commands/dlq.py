"""`forecart dlq`: what could not be used and why; look at it, put it back.

Rules of the room: a dead letter's bytes, headers and messages were written by others: nothing of
them reaches the terminal unescaped.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click

from stream.commands.options import bootstrap_of, reader_of, with_settings
from stream.commands.terminal import harmless, moment, write_table
from stream.core.layout import Reason
from stream.settings import Settings
from stream.shell.reader import Reader, Record
from stream.shell.republish import Republisher
from stream.wire.topics import DEAD_LETTERS, INPUTS

VALUE_CHARS_SHOWN = 4_000
UNKNOWN = "?"  # what a dead letter does not say
REASONS = (*(reason.name.lower() for reason in Reason if reason != Reason.NONE), UNKNOWN)
MARK = "replayed-from"  # header of a record that was put back: place of its dead letter


class DeadLetter(NamedTuple):
    """A dead letter and what its headers say; "?" where one is missing."""

    record: Record
    reason: str
    message: str
    source: str  # topic-partition-offset of the original
    topic: str  # of the original
    truncated: bool

    @property
    def place(self) -> str:
        """How `show` and `replay` call it."""
        return f"{self.record.partition}-{self.record.offset}"


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--user", help="Only with this key."),
        click.option("--topic", type=click.Choice(INPUTS), help="Only of this input topic."),
        click.option(
            "--reason",
            "reasons",
            type=click.Choice(REASONS),
            multiple=True,
            metavar="REASON",
            help="Only of this reason; may be given several times.",
        ),
    ):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """List, show or replay dead letters.

    Example: forecart dlq list
    """


@command.command("list")
@_filters
@click.option("--each", is_flag=True, help="A line for each, oldest first, not only counts.")
@with_settings
def list_them(
    reasons: tuple[str, ...],
    topic: str | None,
    user: str | None,
    each: bool,
    settings: Settings,
) -> None:
    """Count dead letters by reason and topic.

    Example: forecart dlq list --reason too_late --each
    """
    counts: Counter[tuple[str, str]] = Counter()
    newest: dict[tuple[str, str], DeadLetter] = {}
    with reader_of(settings) as reader:
        for letter in _letters(reader, settings, reasons, topic, user):
            group = (letter.reason, letter.topic)
            counts[group] += 1
            last = newest.get(group, letter)
            if letter.record.timestamp_ms >= last.record.timestamp_ms:
                newest[group] = letter
            if each:
                click.echo(
                    f"{letter.place}  {moment(letter.record.timestamp_ms)}  {letter.reason}"
                    f"  {letter.source}  {letter.message}"
                )
    rows = [
        (*group, count, newest[group].place, moment(newest[group].record.timestamp_ms))
        for group, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    if rows:
        write_table(("reason", "topic", "count", "newest", "at"), rows)
    click.echo(f"{sum(counts.values())} dead letters")


@command.command()
@click.argument("place")
@click.option("--raw", is_flag=True, help="The original bytes alone, as they are.")
@with_settings
def show(place: str, raw: bool, settings: Settings) -> None:
    """Show one dead letter, by the place that `list` names: PARTITION-OFFSET.

    Example: forecart dlq show 2-17
    """
    number, offset = _place(place, settings)
    topic = settings.topic(DEAD_LETTERS)
    with reader_of(settings) as reader:
        first, end = reader.ranges([topic]).get((topic, number), (0, 0))
        record = None
        if first <= offset < end:
            record = next(reader.records({(topic, number): (offset, offset + 1)}), None)
    if record is None:
        raise click.ClickException(f"no dead letter at {topic}-{number}-{offset}")
    if raw:
        click.get_binary_stream("stdout").write(record.value or b"")
        return
    for name, value in record.headers:
        click.echo(f"{harmless(name)}: {harmless(value)}")
    click.echo(f"time: {moment(record.timestamp_ms)}")
    click.echo(f"key: {harmless(record.key)}")
    text = harmless(record.value)
    cut = len(text) > VALUE_CHARS_SHOWN
    click.echo(f"value: {text[:VALUE_CHARS_SHOWN]}{' ... (--raw shows all)' if cut else ''}")


@command.command()
@_filters
@click.option(
    "--place",
    "places",
    multiple=True,
    metavar="PARTITION-OFFSET",
    help="Only this one; may be given several times.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_settings
def replay(
    reasons: tuple[str, ...],
    topic: str | None,
    user: str | None,
    places: tuple[str, ...],
    yes: bool,
    settings: Settings,
) -> None:
    """Put dead letters back on the topic that they came from, bytes and key as they were.

    The partition is the right one for the key, and the header `replayed-from` names the dead
    letter. Not put back: cut ones, and ones without a key. It may be run twice: an event that was
    used the first time is a duplicate the second time.

    Example: forecart dlq replay --reason wrong_partition --yes
    """
    wanted = {_place(place, settings) for place in places}
    with reader_of(settings) as reader:
        letters = [
            letter
            for letter in _letters(reader, settings, reasons, topic, user)
            if not wanted or (letter.record.partition, letter.record.offset) in wanted
        ]
    inputs = {settings.topic(name) for name in INPUTS}
    left: Counter[str] = Counter()
    good: list[DeadLetter] = []
    for letter in letters:
        why = _why_not(letter, inputs)
        if why:
            left[why] += 1
        else:
            good.append(letter)
    for why, count in left.most_common():
        click.echo(f"{count} stay: {why}")
    if good and not yes:
        click.confirm(f"put {len(good)} dead letters back?", abort=True)
    publisher = Republisher(bootstrap_of(settings), settings.security)
    for letter in good:
        mark = (MARK, f"{letter.record.topic}-{letter.place}".encode())
        publisher.send(letter.topic, letter.record.key or b"", letter.record.value, [mark])
    click.echo(f"{publisher.close()} dead letters put back")


def _letters(
    reader: Reader,
    settings: Settings,
    reasons: tuple[str, ...],
    topic: str | None,
    user: str | None,
) -> Iterator[DeadLetter]:
    ranges = reader.ranges([settings.topic(DEAD_LETTERS)])
    for record in reader.records(ranges):
        letter = _read(record)
        if reasons and letter.reason not in reasons:
            continue
        if topic is not None and letter.topic != settings.topic(topic):
            continue
        if user is not None and record.key != user.encode():
            continue
        yield letter


def _read(record: Record) -> DeadLetter:
    said = {name: harmless(value) for name, value in record.headers}
    topic = said.get("topic", UNKNOWN)
    return DeadLetter(
        record,
        said.get("reason", UNKNOWN),
        said.get("message", UNKNOWN),
        f"{topic}-{said.get('partition', UNKNOWN)}-{said.get('offset', UNKNOWN)}",
        topic,
        said.get("truncated") == "true",
    )


def _why_not(letter: DeadLetter, inputs: set[str]) -> str:
    if letter.topic not in inputs:
        return f"topic {letter.topic} is no input"
    if letter.truncated:
        return "only a part of them is kept"
    if letter.record.key is None:
        return "without a key they would come back"
    return ""


def _place(text: str, settings: Settings) -> tuple[int, int]:
    """Read PARTITION-OFFSET, with or without the topic before it. Raises click.BadParameter."""
    found = re.fullmatch(r"(?:(.+)-)?(\d+)-(\d+)", text)
    if not found or found[1] not in {None, DEAD_LETTERS, settings.topic(DEAD_LETTERS)}:
        raise click.BadParameter(f"{text!r} is not PARTITION-OFFSET of a dead letter, such as 2-17")
    return int(found[2]), int(found[3])
