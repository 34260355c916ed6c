"""Types of options that commands share."""

from pathlib import Path
from typing import Final

import click

FOLDER: Final = click.Path(path_type=Path, file_okay=False)
