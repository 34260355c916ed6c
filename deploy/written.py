"""Files that code writes: bring them up to date, or only say which are not."""

from collections.abc import Iterable, Mapping
from pathlib import Path


def bring_up_to_date(
    wanted: Mapping[Path, str], command: str, *, check: bool, strays: Iterable[Path] = ()
) -> int:
    """Write what differs and remove strays; with `check` name them instead. The exit status.

    wanted: text by file. strays: files that nothing writes. command: what a person types.
    """
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    foreign = list(strays)
    if check:
        names = sorted(path.name for path in (*stale, *foreign))
        if names:
            print(f"not as the code writes them: {', '.join(names)}; run {command}")
        return 1 if names else 0
    for path in foreign:
        path.unlink()
        print(f"removed: {path}")
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
        print(f"written: {path}")
    return 0
