"""One file out of one npm package, kept in the user's cache: a test skips where it cannot be had.

Rules of the room: version and digest stand where the file is used; nothing else of npm is used.
"""

import hashlib
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from stream.local.whole import write_whole
from tests.ops.installed import program


def from_npm(package: str, file: str, sha256: str) -> str:
    """Give the text of a file of `name@version`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    kept = Path(home) / "forecart" / f"{package.rpartition('/')[2]}-{Path(file).name}"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, _packed(package, file))
    data = kept.read_bytes()
    assert hashlib.sha256(data).hexdigest() == sha256, f"{kept} is not that of {package}"
    return data.decode()


def _packed(package: str, file: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [program("npm"), "pack", package, "--silent"],
            cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"npm does not give {package}: {done.stderr.strip()[-200:]}")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.extractfile(f"package/{file}")
            assert member is not None
            return member.read().decode()
