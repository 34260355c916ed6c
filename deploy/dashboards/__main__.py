"""Write deploy/grafana/dashboards/*.json; with `--check`, only compare."""

import json
import sys
from pathlib import Path
from typing import Final

from deploy.dashboards.model import MODEL
from deploy.dashboards.overview import OVERVIEW
from deploy.dashboards.pipeline import PIPELINE
from deploy.dashboards.quality import QUALITY

FOLDER: Final = Path(__file__).parents[1] / "grafana" / "dashboards"
DASHBOARDS: Final = (OVERVIEW, PIPELINE, MODEL, QUALITY)


def texts() -> dict[str, str]:
    """Give the text of each file by its name."""
    return {f"{d.uid}.json": json.dumps(d.json(), indent=2) + "\n" for d in DASHBOARDS}


def main(arguments: list[str]) -> int:
    """Write the files, or with --check compare them. Returns the exit status."""
    wanted = texts()
    there = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.json"))}
    if arguments == ["--check"]:
        wrong = sorted(name for name in wanted | there if wanted.get(name) != there.get(name))
        if wrong:
            print(f"not what the code says: {', '.join(wrong)}: run python -m deploy.dashboards")
        return 1 if wrong else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
