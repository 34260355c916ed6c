"""Programs that a system may lack: a test skips with the name of what would bring it."""

import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGES = {
    "promtool": "apt-get install --no-install-recommends prometheus",
    "prometheus": "apt-get install --no-install-recommends prometheus",
    "npm": "apt-get install --no-install-recommends npm",
    "chromium": "apt-get install --no-install-recommends chromium",
    "kubectl": "kubernetes.io/docs/tasks/tools tells how",
}


def lacking(name: str) -> str:
    """Say that a program is not installed, and what would bring it; "": it is."""
    return "" if shutil.which(name) else f"{name} is not installed: {PACKAGES[name]}"


def program(name: str) -> str:
    """Give the path of a program, or skip."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(lacking(name))
    return found


def run(name: str, *arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [program(name), *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
