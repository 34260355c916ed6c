"""How the benches' pages write numbers, tables and charts."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

OURS_COLOR: Final = "#1f6feb"
OTHERS_COLOR: Final = "#9aa4b2"


def spread(numbers: Sequence[float], form: str) -> str:
    """Write median (lowest to highest)."""
    middle, low, high = (
        form.format(number) for number in (statistics.median(numbers), min(numbers), max(numbers))
    )
    return f"{middle} ({low} to {high})"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table."""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def write_between(page: Path, name: str, text: str) -> None:
    """Replace what stands between a page's marks of this name. Raises SystemExit without them."""
    before = page.read_text()
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marks.search(before):
        raise SystemExit(f"{page}: no <!-- {name} --> to write between")
    page.write_text(marks.sub(lambda found: found[1] + text + found[2], before))


def empty_figure(width: float, height: float) -> tuple[Any, Any]:
    """Make a figure and its axes; sizes in inches."""
    import matplotlib as mpl  # noqa: PLC0415 - the export extra has it

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "forecart"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(width, height))
    return figure, axes


def keep_figure(figure: Any, path: Path) -> None:
    """Write it: the same figure gives the same bytes."""
    figure.axes[0].spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
