"""A comparison on one dataset: all its models run, kept, read back and set beside each other.

Rules of the room: a folder belongs to one dataset and one set of settings, named in it; with others
it is refused. What is complete in it is not run again.

    study.json   settings and the dataset's digest
    MODEL/       see runs.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from export.dataset.folder import Dataset
from export.evaluation.comparison import Answered, Kept, compare
from export.evaluation.intervals import DRAWS
from export.evaluation.pool import Job
from export.evaluation.questions import Asked
from export.evaluation.runs import (
    ASKED_SPLITS,
    About,
    Opened,
    Settings,
    finished,
    open_dataset,
    read_kept,
    run_model,
)
from export.models.registry import MODELS

STUDY: Final = "study.json"


class StudyError(ValueError):
    """A comparison cannot be made. The message is one line, for the user."""


@dataclass(frozen=True, slots=True)
class Study:
    """One dataset's share of a report."""

    dataset: Dataset
    settings: Settings
    opened: Opened
    abouts: dict[str, About]
    answered: list[Answered]
    kept: dict[str, Kept]  # question -> model -> kept answers on test


def claim(folder: Path, dataset: Dataset, settings: Settings) -> None:
    """Make the folder this study's. Raises StudyError where it is another's."""
    named = settings.named(dataset)
    place = folder / STUDY
    if place.exists():
        try:
            held: dict[str, Any] = msgspec.json.decode(place.read_bytes(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise StudyError(f"{place}: {error}") from error
        other = [
            f"{key} {held.get(key)} there, {named.get(key)} now"
            for key in sorted(named.keys() | held.keys())
            if held.get(key) != named.get(key)
        ]
        if other:
            raise StudyError(f"{folder} holds a comparison of other settings: {'; '.join(other)}")
        return
    if folder.exists() and any(folder.iterdir()):
        raise StudyError(f"{folder} is not empty and holds no comparison: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    place.write_bytes(msgspec.json.format(msgspec.json.encode(named), indent=1) + b"\n")


def chosen_models(settings: Settings, only: Sequence[str] = ()) -> list[str]:
    """Models that answer a question of the study; `only` names some. Raises StudyError."""
    unknown = [name for name in only if name not in MODELS]
    if unknown:
        raise StudyError(f"no model is called {', '.join(unknown)}: there are {', '.join(MODELS)}")
    return [
        name
        for name, entry in MODELS.items()
        if (not only or name in only) and set(entry.questions) & set(settings.questions)
    ]


def missing_jobs(
    folder: Path, dataset: Dataset, settings: Settings, names: Sequence[str]
) -> dict[str, Job]:
    """Give a job for each model that is not there yet."""
    return {
        name: partial(run_model, name, folder, dataset.folder, settings)
        for name in names
        if not finished(folder, name)
    }


def read_study(
    folder: Path, dataset: Dataset, settings: Settings, names: Sequence[str], draws: int = DRAWS
) -> Study:
    """Read what the models left and compare it. Raises StudyError where no question is asked."""
    opened = open_dataset(dataset, settings)
    abouts: dict[str, About] = {}
    kept: dict[str, Kept] = {}
    for name in names:
        try:
            abouts[name], kept[name] = read_kept(folder, name)
        except ValueError as error:
            raise StudyError(str(error)) from error
    answered, on_test = [], {}
    for question, asked in opened.asked.items():
        held = {split: _of(kept, split, question, asked[split]) for split in ASKED_SPLITS}
        if held["test"]:
            baselines = frozenset(n for n in held["test"] if MODELS[n].family == "baseline")
            answered.append(compare(asked, held, baselines, settings.seed, draws))
            on_test[question] = held["test"]
    return Study(dataset, settings, opened, abouts, answered, on_test)


def _of(kept: dict[str, Kept], split: str, question: str, asked: Asked) -> Kept:
    key = f"{split}.{question}"
    held = {name: answers[key] for name, answers in kept.items() if key in answers}
    for name, answers in held.items():
        if len(answers) != len(asked.truth):
            raise StudyError(
                f"{name} kept {len(answers)} answers of {len(asked.truth)}: {key}; delete it there"
            )
    return held
