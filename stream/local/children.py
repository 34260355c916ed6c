"""Our own commands as child processes: started with settings, watched, stopped for certain.

Rules of the room: a child has a session of its own, so Ctrl-C in the terminal reaches the parent
alone and the parent decides the order; its output goes to a file; leaving the context ends it.
"""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from stream.settings import ENV_PREFIX, Settings

KILL_S: Final = 10.0  # a killed process that is not gone by then never will be
LOG_LINES: Final = 5
FORECART: Final = (sys.executable, "-c", "from stream.cli import main; main()")


class ChildError(RuntimeError):
    """A child ended when it should not, or did not end. The message is for the user."""


class Child:
    """A running command. Not for threads."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raise ChildError unless it runs."""
        status = self.status
        if status is not None:
            raise ChildError(f"{self.name} ended with status {status}: {self.last_words()}")

    def ask_to_stop(self) -> None:
        """Send SIGTERM, if it runs."""
        with suppress(ProcessLookupError):
            if self.status is None:
                self._process.terminate()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; False: it still runs."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it and whatever it started. Raises ChildError if that fails."""
        if self.status is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        if not self.wait(KILL_S):
            raise ChildError(f"{self.name} (process {self.pid}) does not end, not even killed")

    def last_words(self) -> str:
        """Give the end of its log in one line."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        said = " | ".join(text.strip() for text in lines[-LOG_LINES:] if text.strip())
        return said or f"it said nothing (log: {self.log})"


@contextmanager
def forecart(arguments: Sequence[str], settings: Settings, log: Path) -> Iterator[Child]:
    """Run `forecart ARGUMENTS` with exactly these settings; it is dead when the context is left."""
    environ = dict(os.environ)
    for field in dataclasses.fields(settings):
        environ[ENV_PREFIX + field.name.upper()] = str(getattr(settings, field.name))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*FORECART, *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    child = Child(f"forecart {arguments[0]}", process, log)
    try:
        yield child
    finally:
        child.kill()
