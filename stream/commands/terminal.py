"""What commands write to a terminal: columns, times, and other people's text made harmless."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click


def write_table(head: Sequence[str], rows: Sequence[Sequence[str | int]]) -> None:
    """Print columns: numbers to the right, the rest to the left."""
    right = [
        bool(rows) and all(isinstance(row[at], int) for row in rows) for at in range(len(head))
    ]
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    for line in lines:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def harmless(text: str | bytes | None) -> str:
    """Escape what a terminal would obey: control characters, and bytes that are no UTF-8."""
    if text is None:
        return "(none)"
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def moment(time_ms: int) -> str:
    """Write a time, UTC, to the second."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"


def duration(time_ms: float) -> str:
    """Write a length of time in its two largest units."""
    left = int(time_ms // 1000)
    parts: list[str] = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])
