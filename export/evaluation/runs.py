"""One model of a comparison from beginning to end, kept in a folder of its own.

Rules of the room: a folder MODEL is complete or not there: it is made under another name and
renamed. What is kept depends on dataset, settings and seed alone, but for the times it took.

    MODEL/about.json    what it is, how long it took, its learning curve
    MODEL/answers.npz   split.question -> kept answers (questions.answer), in the order of asking
"""

import hashlib
import io
import os
import shutil
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from export.dataset.folder import Dataset, load_dataset
from export.dataset.packing import pack_arrays
from export.dataset.splits import Split, Splits
from export.evaluation.questions import Asked, Churn, answer, ask
from export.models.contract import Model, Part, Say
from export.models.registry import MODELS, make

ABOUT: Final = "about.json"
ANSWERS: Final = "answers.npz"
COST_ROWS: Final = 1024  # asked again and again for the cost of an answer
COST_REPEATS: Final = 5
ASKED_SPLITS: Final = ("validation", "test")

Kept = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a kept answer depends on, beside the dataset and the model."""

    refresh_steps: int  # L
    seed: int
    silence_ms: int  # after which churn is asked
    horizon_ms: int  # of churn
    questions: tuple[str, ...]

    @property
    def churn(self) -> Churn:
        """What is asked of silence."""
        return Churn(self.silence_ms, self.horizon_ms)

    def named(self, dataset: Dataset) -> dict[str, Any]:
        """Name the settings and the dataset that they are applied to, by its files' digests."""
        manifest = dataset.manifest
        read = msgspec.json.encode([manifest.files, manifest.cuts, manifest.engine])
        return asdict(self) | {
            "questions": list(self.questions),
            "purchase_horizon_ms": manifest.purchase_horizon_ms,
            "dataset": hashlib.sha256(read).hexdigest(),
        }


class Curve(msgspec.Struct, frozen=True):
    """Loss of train and of validation after each epoch."""

    train: list[float]
    validation: list[float]


class About(msgspec.Struct, frozen=True):
    """The file of one model."""

    model: str
    family: str
    seconds: float  # of fitting
    size_bytes: int
    row_us: dict[str, float]  # question -> of answering one row, on one core
    curve: Curve | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A dataset cut for a comparison: parts of its splits, and what is asked of them."""

    splits: Splits
    parts: dict[str, Part]  # all rows of train, validation, test
    asked: dict[str, dict[str, Asked]]  # question -> split -> rows whose answer is known
    left_out: dict[str, str]  # question -> why it is not asked


def open_dataset(dataset: Dataset, settings: Settings) -> Opened:
    """Cut a dataset and find what can be asked. About 30 us an event."""
    splits = dataset.splits(settings.refresh_steps)
    every = {split.name: split for split in splits.each()}
    parts = {name: _part(splits, split, late=True) for name, split in every.items()}
    in_time = {name: _part(splits, every[name], late=False) for name in ASKED_SPLITS}
    asked, left_out = {}, {}
    for question in settings.questions:
        try:
            asked[question] = {
                name: _asked(question, name, in_time[name], settings) for name in ASKED_SPLITS
            }
        except ValueError as error:
            left_out[question] = str(error)
    return Opened(splits, parts, asked, left_out)


def run_model(name: str, folder: Path, dataset: Path, settings: Settings, say: Say) -> None:
    """Fit one model, ask it, keep what it says in `folder`/`name`."""
    opened = open_dataset(load_dataset(dataset), settings)
    entry = MODELS[name]
    questions = [question for question in opened.asked if question in entry.questions]
    model = make(name)
    began = time.perf_counter()
    model.fit(opened.parts["train"], opened.parts["validation"], settings.seed, say)
    seconds = time.perf_counter() - began
    kept: dict[str, Kept] = {}
    row_us = {}
    for question in questions:
        say(f"asked: {question}")
        for split, rows in opened.asked[question].items():
            kept[f"{split}.{question}"] = answer(model, rows, settings.churn)
        row_us[question] = _row_us(model, opened.asked[question]["test"])
    about = About(name, entry.family, seconds, model.size_bytes(), row_us, _curve(model))
    _keep(folder / name, about, kept)


def finished(folder: Path, name: str) -> bool:
    """Tell whether a model was run to its end."""
    return (folder / name / ABOUT).exists()


def read_kept(folder: Path, name: str) -> tuple[About, dict[str, Kept]]:
    """Read what a model left. Raises ValueError on a folder that is damaged."""
    try:
        about = msgspec.json.decode((folder / name / ABOUT).read_bytes(), type=About)
        with np.load(io.BytesIO((folder / name / ANSWERS).read_bytes())) as held:
            return about, {key: held[key] for key in held.files}
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"{folder / name}: {error}; delete it to run {name} again") from error


def _part(splits: Splits, split: Split, *, late: bool) -> Part:
    """Rows of a split; without late ones where it is asked about: their time is another row's."""
    kept = np.ones(len(split.data.user), np.bool_)
    if not late:
        kept = split.recorded.rows["late"] == 0
    return Part(split.data, splits.vocabulary, np.flatnonzero(kept), splits.config.hazard_edges_ms)


def _asked(question: str, name: str, part: Part, settings: Settings) -> Asked:
    try:
        return ask(question, part, settings.churn)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _row_us(model: Model, asked: Asked) -> float:
    """Median time of an answer per row: whole sequences, in blocks, as in a busy worker."""
    order = np.argsort(asked.part.data.sequence[asked.part.rows], kind="stable")
    part = asked.part.at(asked.part.rows[order[:COST_ROWS]])
    took = []
    for _ in range(COST_REPEATS):
        began = time.perf_counter()
        for _, block in part.blocks():
            model.predict(asked.question, block)
        took.append(time.perf_counter() - began)
    return 1e6 * statistics.median(took) / len(part.rows)


def _curve(model: Model) -> Curve | None:
    """Learning curve of a model that is trained in epochs."""
    points = getattr(model, "curve", None)
    if not points:
        return None
    return Curve([float(train) for train, _ in points], [float(later) for _, later in points])


def _keep(place: Path, about: About, kept: Mapping[str, Kept]) -> None:
    made = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    (made / ANSWERS).write_bytes(pack_arrays(kept))
    text = msgspec.json.format(msgspec.json.encode(about), indent=1)
    (made / ABOUT).write_bytes(text + b"\n")
    shutil.rmtree(place, ignore_errors=True)
    made.rename(place)
