"""flow.ports.CrashNotes on disk: one small file per partition in the state folder.

Rules of the room: written beside and renamed, so a reader finds the old note or the new one; what
cannot be read or written is said in the log and does not stop anything.
"""

import logging
from pathlib import Path

import msgspec

from stream.flow.crash_note import CrashNote
from stream.local.whole import write_whole

log = logging.getLogger(__name__)


class FileCrashNotes:
    """The notes of one group's partitions, as far as they were worked on from this machine."""

    def __init__(self, folder: Path, group: str) -> None:
        self._folder = folder
        self._group = group

    def read(self, partition: int) -> CrashNote | None:
        """Give the note that was written last; None without one."""
        path = self._path(partition)
        try:
            return msgspec.json.decode(path.read_bytes(), type=CrashNote)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            log.warning("crash note %s is not readable and is left out: %s", path, error)
            return None

    def write(self, partition: int, note: CrashNote) -> None:
        """Keep a note instead of any other."""
        path = self._path(partition)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, msgspec.json.encode(note).decode())
        except OSError as error:
            log.warning("crash note %s cannot be written: %s", path, error)

    def _path(self, partition: int) -> Path:
        return self._folder / f"{self._group}-{partition}.json"
