"""Where data come from: options that every command on logs shares, and what they give.

Rules of the room: one source a call: files, a simulated shop, or else topics. All errors leave as
ClickException, one line.
"""

import functools
import re
import secrets
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.commands.options import FILE, TIME
from stream.commands.options import Number, reader_of, with_settings
from stream.settings import Settings

if TYPE_CHECKING:
    from export.dataset.build import Origin
    from export.dataset.event_log import EventLog
    from export.dataset.names import Names

_OFFSETS = re.compile(r"(.+)-(\d+)=(\d+):(\d+)")

_OPTIONS = (
    click.option("--file", "files", multiple=True, type=FILE, metavar="FILE",
                 help="CSV, JSON lines or Parquet (.gz too); as `forecart replay` reads them."),
    click.option("--map", "maps", multiple=True, metavar="FIELD=COLUMN",
                 help="Of a file: column of a field."),
    click.option("--const", "constants", multiple=True, metavar="FIELD=VALUE",
                 help="Of a file: value of a field where no column gives one."),
    click.option("--type-map", "types", multiple=True, metavar="VALUE=TYPE[/ACTION]",
                 help="Of a file: what a value of the event-type column means."),
    click.option("--shop", is_flag=True, help="A simulated shop. Synthetic."),
    click.option("--shop-seed", default=7, show_default=True, help="Of the shop."),
    click.option("--shop-users", default=1000, show_default=True, help="Of the shop."),
    click.option("--shop-items", default=2000, show_default=True, help="Of the shop."),
    click.option("--shop-days", default=60.0, show_default=True, type=Number(0, min_open=True),
                 help="Of the shop."),
    click.option("--since", "since_ms", type=TIME, help="Of topics: records from a time on."),
    click.option("--until", "until_ms", type=TIME, help="Of topics: records before a time."),
    click.option("--offsets", multiple=True, metavar="TOPIC-PARTITION=FIRST:NEXT",
                 help="Of topics: some records of one partition, e.g. clicks-0=100:2000."),
    click.option("--as-served", is_flag=True,
                 help="Of topics: in the order in which the worker applied them, not by event "
                      "time."),
    click.option("--forget-file", type=FILE,
                 help="Keys of users to leave out, one a line (a user id, or anon:ID)."),
    click.option("--salt-file", type=FILE,
                 help="Salt of the users' hashes, to make the same hashes again. [default: a "
                      "random one that nobody keeps]"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say of the source."""

    settings: Settings
    files: tuple[Path, ...]
    maps: tuple[str, ...]
    constants: tuple[str, ...]
    types: tuple[str, ...]
    shop: bool
    shop_seed: int
    shop_users: int
    shop_items: int
    shop_days: float
    since_ms: int | None
    until_ms: int | None
    offsets: tuple[str, ...]
    as_served: bool
    forget_file: Path | None
    salt_file: Path | None

    def check(self) -> None:
        """Refuse options of different sources together. Raises UsageError."""
        topics = [self.since_ms, self.until_ms, *self.offsets, self.as_served or None]
        if self.files and self.shop:
            raise click.UsageError("give one of --file and --shop")
        if (self.files or self.shop) and any(value is not None for value in topics):
            raise click.UsageError("--since, --until, --offsets and --as-served are of topics")
        if not self.files and (self.maps or self.constants or self.types):
            raise click.UsageError("--map, --const and --type-map are of files: name one by --file")

    def served_if_topics(self) -> "Asked":
        """Read topics, where they are the source, in the order in which they were served."""
        return self if self.files or self.shop else replace(self, as_served=True)

    def salt(self) -> bytes:
        """Give the salt of the users' hashes."""
        return self.salt_file.read_bytes() if self.salt_file else secrets.token_bytes(32)

    def forgotten(self) -> list[bytes]:
        """Keys of users to leave out."""
        if self.forget_file is None:
            return []
        return [line for line in self.forget_file.read_bytes().splitlines() if line]


def with_source(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `asked: Asked`."""

    @functools.wraps(function)
    def wrapped(*args: Any, settings: Settings, **kwargs: Any) -> Any:
        own = {name: kwargs.pop(name) for name in Asked.__slots__ if name in kwargs}
        return function(*args, asked=Asked(settings=settings, **own), **kwargs)

    made: Callable[..., Any] = with_settings(wrapped)
    for option in reversed(_OPTIONS):
        made = option(made)
    return made


def read_source(asked: Asked) -> "tuple[EventLog, Names, Origin]":
    """Read the log that the options name. Raises ClickException, UsageError."""
    from export.dataset.build import Origin
    from export.dataset.names import Names
    from stream.local.files_map import FileError
    from stream.served.log import ServedError

    asked.check()
    names = Names()
    try:
        if asked.files:
            log, source = _files(asked, names)
        elif asked.shop:
            log, source = _shop(asked, names)
        else:
            log, source = _topics(asked, names)
    except (FileError, ServedError, ValueError, ConnectionError, TimeoutError) as error:
        raise click.ClickException(str(error)) from error
    origin = Origin(source, command_line(), asked.shop, asked.shop_seed if asked.shop else 0)
    return log, names, origin


def command_line() -> str:
    """Write the command as it was called."""
    return shlex.join(["python", "-m", "export", *sys.argv[1:]])


def _files(asked: Asked, names: "Names") -> "tuple[EventLog, dict[str, Any]]":
    from export.dataset.file_log import FileSource, file_log

    source = FileSource(asked.files, asked.maps, asked.constants, asked.types)
    return file_log(source, names, asked.forgotten())


def _shop(asked: Asked, names: "Names") -> "tuple[EventLog, dict[str, Any]]":
    from export.dataset.merge_log import without_keys
    from export.dataset.shop_log import shop_log
    from stream.local.shop import Shop

    shop = Shop(asked.shop_seed, asked.shop_users, asked.shop_items, asked.shop_days)
    log = without_keys(shop_log(shop, names), asked.forgotten())
    sizes = {"users": shop.users, "items": asked.shop_items, "days": shop.days}
    return log, {"kind": "simulated shop", "seed": shop.seed, **sizes}


def _topics(asked: Asked, names: "Names") -> "tuple[EventLog, dict[str, Any]]":
    from export.dataset.kafka_log import TopicSource, topic_log

    settings = asked.settings
    source = TopicSource(
        topic_prefix=settings.topic_prefix,
        since_ms=asked.since_ms,
        until_ms=asked.until_ms,
        offsets=dict(map(_offsets, asked.offsets)),
        as_served=asked.as_served,
        event_bytes_max=settings.event_bytes_max,
        skew_ms_max=settings.skew_ms_max,
        hash_key=settings.hash_key,
    )
    with reader_of(settings) as log:
        return topic_log(log, source, names, asked.forgotten())


def _offsets(text: str) -> tuple[tuple[str, int], tuple[int, int]]:
    found = _OFFSETS.fullmatch(text)
    if found is None:
        raise ValueError(f"--offsets {text}: write e.g. clicks-0=100:2000")
    topic, *numbers = found.groups()
    partition, first, after = map(int, numbers)
    return (topic, partition), (first, after)
