"""How long a sequence should be: a model's quality at several L, with the cut rule of serving.

Rules of the room: the engine runs anew at each L, so training and asking cut sequences as serving
would (docs/engine.md): a score sees at least L + 1 of the last steps, at most 2 L, or all while
there are no more. Judged on validation, the same rows at every L; test is not opened. Chosen is the
smallest L that falls behind the best one by no more than noise on every question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from export.dataset.folder import Dataset
from export.evaluation.comparison import Answered, Kept, compare
from export.evaluation.intervals import DRAWS
from export.evaluation.pool import Job
from export.evaluation.runs import (
    About,
    Opened,
    Settings,
    finished,
    open_dataset,
    read_kept,
    run_model,
)
from export.evaluation.study import StudyError, claim
from stream.core.layout import STEP

if TYPE_CHECKING:
    from export.evaluation.questions import Asked

LENGTHS: Final = (2, 4, 8, 16, 32)
_SPLIT: Final = "validation"


@dataclass(frozen=True, slots=True)
class LengthCurve:
    """A model at every L asked."""

    model: str
    lengths: tuple[int, ...]
    chosen: int
    answered: list[Answered]  # "models" are lengths, by name_of
    abouts: dict[int, About]
    ring_bytes: dict[int, int]  # of a user's window
    opened: Opened  # at the last L


def name_of(length: int) -> str:
    """Name an L in tables and folders."""
    return f"L={length}"


def length_jobs(
    folder: Path, dataset: Dataset, settings: Settings, model: str, lengths: Sequence[int]
) -> dict[str, Job]:
    """Give a job for each L that is not there yet. Raises StudyError."""
    jobs: dict[str, Job] = {}
    for length in lengths:
        own, place = _of_length(settings, length), folder / name_of(length)
        claim(place, dataset, own)
        if not finished(place, model):
            jobs[name_of(length)] = partial(run_model, model, place, dataset.folder, own)
    return jobs


def read_lengths(
    folder: Path,
    dataset: Dataset,
    settings: Settings,
    model: str,
    lengths: Sequence[int],
    draws: int = DRAWS,
) -> LengthCurve:
    """Read what was kept at every L and compare it. Raises StudyError."""
    kept: dict[str, Kept] = {}
    asked: dict[str, Asked] = {}
    abouts, ring_bytes = {}, {}
    for length in lengths:
        opened = open_dataset(dataset, _of_length(settings, length))
        abouts[length], held = read_kept(folder / name_of(length), model)
        ring_bytes[length] = opened.splits.config.window_steps * STEP.itemsize
        for question, by_split in opened.asked.items():
            if f"{_SPLIT}.{question}" not in held:
                continue
            now = by_split[_SPLIT]
            if not np.array_equal(asked.setdefault(question, now).truth, now.truth):
                raise StudyError(f"{question}: other rows at {name_of(length)}")
            kept.setdefault(question, {})[name_of(length)] = held[f"{_SPLIT}.{question}"]
    if not kept:
        raise StudyError(f"{model} answers nothing that can be asked of {dataset.folder}")
    answered = [
        compare(
            {"validation": asked[question], "test": asked[question]},
            {"validation": held, "test": held},
            frozenset(),
            settings.seed,
            draws,
        )
        for question, held in kept.items()
    ]
    chosen = choose(lengths, answered)
    return LengthCurve(model, tuple(lengths), chosen, answered, abouts, ring_bytes, opened)


def choose(lengths: Sequence[int], answered: Sequence[Answered]) -> int:
    """Give the smallest L that is the best or within noise of it on the most questions."""

    def held(length: int) -> int:
        name = name_of(length)
        return sum(name == made.chosen or name in made.alike() for made in answered)

    return max(sorted(lengths), key=lambda length: (held(length), -length))


def _of_length(settings: Settings, length: int) -> Settings:
    return replace(settings, refresh_steps=length, asked_splits=(_SPLIT,))
