"""axe-core, the accessibility checker: one file out of one npm package, kept in the user's cache.

Rules of the room: the version and the file's digest stand here; nothing else of npm is used.
"""

import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest

from stream.local.whole import write_whole
from tests.ops.browser import Page
from tests.ops.installed import program

VERSION: Final = "4.14.1"
SHA256: Final = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def script() -> str:
    """Give axe's source; a test skips where neither the cache nor npm has it."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    kept = Path(home) / "forecart" / f"axe-{VERSION}.js"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, _packed())
    data = kept.read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHA256, f"{kept} is not axe-core {VERSION}"
    return data.decode()


def _packed() -> str:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [program("npm"), "pack", f"axe-core@{VERSION}", "--silent"],
            cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"npm does not give axe-core {VERSION}: {done.stderr.strip()[-200:]}")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.extractfile("package/axe.min.js")
            assert member is not None
            return member.read().decode()


def violations(page: Page) -> list[str]:
    """Name what is wrong in the page as it stands, a line each."""
    page.run(script())
    found: list[dict[str, Any]] = json.loads(
        page.js(
            f"axe.run(document, {{runOnly: {json.dumps(RULES)}}})"
            ".then((done) => JSON.stringify(done.violations))"
        )
    )
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: "
        + ", ".join(node["html"][:120] for node in each["nodes"])
        for each in found
    ]
