"""Types of options that commands share."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

FOLDER: Final = click.Path(path_type=Path, file_okay=False)
FILE: Final = click.Path(path_type=Path, dir_okay=False, exists=True)


class Time(click.ParamType):
    """ISO 8601, UTC unless it says otherwise; given as epoch ms."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a time."""
        if isinstance(value, int):
            return value
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r}: write e.g. 2026-01-31 or 2026-01-31T12:00Z", param, ctx)
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        return int(aware.timestamp() * 1000)


TIME: Final = Time()
