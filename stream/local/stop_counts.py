"""How often a worker failed, by exit code, over restarts: a small file beside its instance lock.

A process that fails is gone before anybody reads its metrics; the next one tells of it. What cannot
be read or written is said in the log and stops nothing.
"""

import json
import logging
from pathlib import Path

from stream.local.whole import write_whole

log = logging.getLogger(__name__)


class StopCounts:
    """The failures of one instance of a group on this machine."""

    def __init__(self, folder: Path, group: str, instance: int) -> None:
        self._path = folder / f"{group}-{instance}.stops.json"

    def read(self) -> dict[int, int]:
        """Give the count by exit code; empty where nothing was kept."""
        try:
            kept = json.loads(self._path.read_text())
            return {int(code): int(count) for code, count in kept.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s is left out: %s", self._path, error)
            return {}

    def add(self, exit_code: int) -> None:
        """Count a failure. Any thread; one instance is one process."""
        counts = self.read()
        counts[exit_code] = counts.get(exit_code, 0) + 1
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(counts))
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)
