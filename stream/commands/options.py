"""What commands share: --broker, --settings, --set NAME=VALUE, and a type for numbers."""

import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream.local.kafka import EmbeddedKafkaError, resolve_broker
from stream.settings import Settings, SettingsError, load, not_used, parse_value

if TYPE_CHECKING:
    from stream.shell.reader import Reader

# Of variables that are not used: the doctor's findings, and the worker's log, which may be JSON.
SAY_THEMSELVES = {"doctor", "worker"}


class Number(click.FloatRange):
    """A number within limits. `nan` and `inf` are none: no comparison would ever refuse them."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number that can be used.", param, ctx)
        return number


def with_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `settings: Settings`, built from flags, environment and file."""

    @click.option("--broker", help="host:port of Kafka; default: the embedded one, if it runs.")
    @click.option(
        "--settings",
        "settings_file",
        type=click.Path(path_type=Path),
        help="TOML file; default: forecart.toml where there is one.",
    )
    @click.option(
        "--set",
        "pairs",
        multiple=True,
        metavar="NAME=VALUE",
        help="Any setting by its name, e.g. --set commit_interval_ms=100.",
    )
    @functools.wraps(function)
    def wrapped(
        *args: Any,
        broker: str | None,
        settings_file: Path | None,
        pairs: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        try:
            flags = {"broker": broker, **_flags(pairs)}
        except SettingsError as error:  # an argument: status 2
            raise click.UsageError(str(error)) from error
        try:
            settings = load(flags, file=settings_file)
        except SettingsError as error:  # a misspelt name may be why
            _tell_not_used()
            raise click.ClickException(str(error)) from error
        if click.get_current_context().info_name not in SAY_THEMSELVES:
            _tell_not_used()
        return function(*args, settings=settings, **kwargs)

    return wrapped


def _tell_not_used() -> None:
    for said in not_used(os.environ):
        click.echo(f"Warning: {said}", err=True)


def bootstrap_of(settings: Settings) -> str:
    """Name the broker: the settings' one, or the embedded one if it runs. Raises ClickException."""
    try:
        return resolve_broker(settings)
    except EmbeddedKafkaError as error:
        raise click.ClickException(str(error)) from error


def reader_of(settings: Settings) -> "Reader":
    """Connect to the deployment's broker; a context manager. Raises in one line."""
    from stream.shell.reader import Reader

    return Reader(bootstrap_of(settings), settings.security)


def _flags(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read what --set gives. Raises SettingsError."""
    flags = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator:
            raise SettingsError(f"--set {pair!r}: write NAME=VALUE")
        flags[name] = parse_value(name, text)
    return flags
