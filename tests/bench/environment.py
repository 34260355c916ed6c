"""The rivals' Python environments: made under build/bench, anew when their pins change."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINS = Path(__file__).parent / "rivals"
HOME = ROOT / "build/bench"


def python_of(name: str) -> str:
    """Give the Python that has what rivals/NAME.txt pins, installed when it is not there."""
    pins = PINS / f"{name}.txt"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    folder = HOME / f"environment-{name}"
    python, stamp = folder / "bin/python", folder / "forecart-pins"
    if not stamp.is_file() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        uv = subprocess.check_output([ROOT / "tools/find-uv"], text=True).strip()
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True)
        install = [uv, "pip", "install", "-q", "--python", python, "--no-deps", "-r", pins]
        subprocess.run(install, check=True)
        stamp.write_text(digest)
    return str(python)
