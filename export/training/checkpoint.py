"""A training's state on disk: written whole or not at all, taken up only by the same command.

Rules of the room: what a run depends on is kept beside its state, and a run that depends on
anything else refuses it, saying what differs.
"""

import os
from pathlib import Path
from typing import Any

import torch


class CheckpointError(ValueError):
    """A checkpoint cannot be taken up. The message is one line."""


def save_checkpoint(path: Path, depends_on: dict[str, Any], state: dict[str, Any]) -> None:
    """Write beside the file, then put in its place: a kill leaves the former one."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        torch.save({"depends_on": depends_on, "state": state}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load_checkpoint(path: Path, depends_on: dict[str, Any]) -> dict[str, Any] | None:
    """Return the state, None where there is no file. Raises CheckpointError."""
    if not path.exists():
        return None
    try:
        held = torch.load(path, weights_only=True)
        former, state = dict(held["depends_on"]), dict(held["state"])
    except Exception as error:  # torch raises whatever the broken bytes lead it to
        raise CheckpointError(f"{path} is no checkpoint: {type(error).__name__}") from error
    changed = [
        f"{name}={former.get(name)} then, {depends_on.get(name)} now"
        for name in sorted(former.keys() | depends_on.keys())
        if former.get(name) != depends_on.get(name)
    ]
    if changed:
        raise CheckpointError(f"{path} is of another run: {'; '.join(changed)}")
    return state
