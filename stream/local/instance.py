"""Which number a worker has on this machine: its static identity in the group and at the broker.

A number is taken by a lock on a file, which the system lets go when the process ends, however.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

INSTANCES_MAX: Final = 256


class InstanceError(RuntimeError):
    """The number cannot be taken. The message is for the user."""


class Instance:
    """A number, held until the process ends."""

    def __init__(self, folder: Path, group: str, number: int) -> None:
        """Take `number`, or with -1 the lowest free one. Raises InstanceError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InstanceError(f"folder {folder}: {error.strerror}") from error
        wanted = range(INSTANCES_MAX) if number < 0 else (number,)
        for candidate in wanted:
            file = os.open(folder / f"{group}-{candidate}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            self.number = candidate
            self._file = file
            return
        if number < 0:
            raise InstanceError(f"all {INSTANCES_MAX} instances of group {group} run here")
        raise InstanceError(
            f"instance {number} of group {group} runs here already; "
            "leave --instance out to take the lowest free number"
        )
