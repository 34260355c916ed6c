"""Progress of several jobs: bars on a terminal, a line for each thing said anywhere else."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Board:
    """Shows jobs until closed. Names and texts are shown as plain text."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._ended = 0
        self._total = total
        self._all = self._bars.add_task("all", total=total, said=f"0/{total}")

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bars as they are."""
        self._bars.stop()

    def said(self, name: str, text: str) -> None:
        """Show what a job says of itself; its first word begins its bar."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(escape(name), total=None, said="")
        self._bars.update(self._tasks[name], said=escape(text))
        if not self._console.is_terminal:
            self._console.print(f"{name}: {text}", highlight=False, markup=False, soft_wrap=True)

    def ended(self, name: str, text: str) -> None:
        """Show that a job ended."""
        self.said(name, text)
        self._ended += 1
        self._bars.update(self._tasks[name], total=1, completed=1)
        self._bars.update(self._all, completed=self._ended, said=f"{self._ended}/{self._total}")
