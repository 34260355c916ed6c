"""Where compiled kernels are kept on disk: one folder per state of their sources.

numba forgets a kernel when the function's own file changes, but not when a function that it calls
does, in another file: a pull would silently run old code inlined into new. So the folder's name is
a digest of all sources of the rooms that hold kernels; a kernel calls nothing outside of them (a
test holds that). It is chosen before numba is imported, below NUMBA_CACHE_DIR where that is set,
else below the user's cache.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent
ROOMS: Final = ("core", "model", "wire")  # the only ones with kernels
VARIABLE: Final = "NUMBA_CACHE_DIR"


def sources_digest(root: Path = ROOT) -> str:
    """Hash every source file of the rooms with kernels below a folder. About 3 ms."""
    digest = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def choose_folder() -> None:
    """Set numba's folder for this process and its children. Twice is the same as once."""
    name = sources_digest()
    base = os.environ.get(VARIABLE)
    if base is None:
        try:
            home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        except RuntimeError:  # a user without a home: numba looks for a place by itself
            return
        base = str(Path(home) / "forecart" / "kernels")
    if Path(base).name != name:
        os.environ[VARIABLE] = str(Path(base) / name)
