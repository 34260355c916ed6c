"""Small files that are there whole or not at all, whoever is killed while they are written."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write so that a reader sees the former file or this one; on the disk when it returns.

    Raises OSError.
    """
    work = path.with_name(f".{path.name}.{os.getpid()}")
    with work.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    work.replace(path)
