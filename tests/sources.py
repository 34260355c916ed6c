"""Which state of the sources a result is of, for runs that go on where they ended."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def digest_of(folders: Sequence[str]) -> str:
    """Hash every Python source in the folders and below them."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
