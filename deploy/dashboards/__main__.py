"""Write deploy/grafana/dashboards/*.json; with `--check`, only compare."""

import json
import sys
from pathlib import Path
from typing import Final

from deploy.dashboards.model import MODEL
from deploy.dashboards.overview import OVERVIEW
from deploy.dashboards.pipeline import PIPELINE
from deploy.dashboards.quality import QUALITY
from deploy.written import bring_up_to_date

FOLDER: Final = Path(__file__).parents[1] / "grafana" / "dashboards"
DASHBOARDS: Final = (OVERVIEW, PIPELINE, MODEL, QUALITY)


def texts() -> dict[str, str]:
    """Give the text of each file by its name."""
    return {f"{d.uid}.json": json.dumps(d.json(), indent=2) + "\n" for d in DASHBOARDS}


def main(arguments: list[str]) -> int:
    """Write the files, or with --check compare them. Returns the exit status."""
    wanted = {FOLDER / name: text for name, text in texts().items()}
    return bring_up_to_date(
        wanted,
        "python -m deploy.dashboards",
        check=arguments == ["--check"],
        strays=[path for path in FOLDER.glob("*.json") if path not in wanted],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
