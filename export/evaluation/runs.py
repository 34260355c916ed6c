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
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from export.dataset.event_log import EventLog
from export.dataset.folder import Dataset, load_dataset
from export.dataset.packing import pack_arrays
from export.dataset.past import split_pasts
from export.dataset.split import good_events
from export.dataset.splits import Splits
from export.evaluation.questions import Asked, Churn, answer, ask
from export.models.contract import HAZARD, Model, Part, Say
from export.models.registry import MODELS, make
from stream.core.config import DAY_MS
from stream.core.layout import NEVER_MS

ABOUT: Final = "about.json"
ANSWERS: Final = "answers.npz"
COST_ROWS: Final = 1024  # asked again and again for the cost of an answer
COST_REPEATS: Final = 5
ACTIVE_MS: Final = 2 * DAY_MS  # before the log's end
ACTIVE_SHARE_MAX: Final = 0.98  # of the users that were active in it: above, churn is not asked
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
    asked_splits: tuple[str, ...] = ASKED_SPLITS  # without test where something is chosen

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
            "asked_splits": list(self.asked_splits),
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
    seconds: float  # of fitting, of one core's time
    size_bytes: int
    row_us: dict[str, float]  # question -> of answering one row, on one core
    curve: Curve | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A dataset cut for a comparison: parts of its splits, and what is asked of them."""

    splits: Splits
    parts: dict[str, Part]  # all rows of train, and of the splits that are asked
    asked: dict[str, dict[str, Asked]]  # question -> split -> rows whose answer is known
    left_out: dict[str, str]  # question -> why it is not asked


def open_dataset(dataset: Dataset, settings: Settings) -> Opened:
    """Cut a dataset and find what can be asked. About 30 us an event."""
    splits = dataset.splits(settings.refresh_steps)
    pasts = split_pasts([split.recorded for split in splits.each()])
    parts, in_time = {}, {}
    for split, past in zip(splits.each(), pasts, strict=True):
        every = np.arange(len(split.data.user))
        part = Part(split.data, splits.vocabulary, every, splits.config.hazard_edges_ms, past)
        parts[split.name] = part
        # Late rows are learned from, but not asked: their newest step is an earlier row's.
        in_time[split.name] = part.at(np.flatnonzero(split.recorded.rows["late"] == 0))
    parts = {name: parts[name] for name in ("train", "validation", *settings.asked_splits)}
    asked, left_out = {}, {}
    for question in settings.questions:
        try:
            if question == HAZARD:
                _refuse_chosen_users(dataset.log)
            asked[question] = {
                name: _asked(question, name, in_time[name], settings)
                for name in settings.asked_splits
            }
        except ValueError as error:
            left_out[question] = str(error)
    return Opened(splits, parts, asked, left_out)


def run_model(name: str, folder: Path, dataset: Path, settings: Settings, say: Say) -> None:
    """Fit one model, ask it, keep what it says in `folder`/`name`."""
    opened = _opened(dataset, settings)
    entry = MODELS[name]
    questions = [question for question in opened.asked if question in entry.questions]
    model = make(name)
    began = time.process_time()
    model.fit(opened.parts["train"], opened.parts["validation"], settings.seed, say)
    seconds = time.process_time() - began
    kept: dict[str, Kept] = {}
    row_us = {}
    for question in questions:
        say(f"asked: {question}")
        for split, rows in opened.asked[question].items():
            kept[f"{split}.{question}"] = answer(model, rows, settings.churn)
        row_us[question] = _row_us(model, opened.asked[question][settings.asked_splits[-1]])
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


@lru_cache(maxsize=2)
def _opened(dataset: Path, settings: Settings) -> Opened:
    """Open a dataset once for all models that a process runs on it: 20 s of compiling at first."""
    return open_dataset(load_dataset(dataset), settings)


def _refuse_chosen_users(log: EventLog) -> None:
    """Raise ValueError where everyone was active to the end: nobody who left is in such data."""
    good = good_events(log.events) & (log.events["user"] >= 0)
    newest_ms = np.full(len(log.users), NEVER_MS)
    np.maximum.at(newest_ms, log.events["user"][good], log.events["time_ms"][good])
    seen = newest_ms > NEVER_MS
    share = float((newest_ms[seen] >= log.end_ms - ACTIVE_MS).mean())
    if share >= ACTIVE_SHARE_MAX:
        raise ValueError(
            f"{100 * share:.0f} % of its users were active in its last {ACTIVE_MS // DAY_MS} days. "
            "They were chosen for that, so nobody who left is among them"
        )


def _asked(question: str, name: str, part: Part, settings: Settings) -> Asked:
    try:
        return ask(question, part, settings.churn)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _row_us(model: Model, asked: Asked) -> float:
    """Median time of an answer per row, of one core: whole sequences, in blocks."""
    order = np.argsort(asked.part.data.sequence[asked.part.rows], kind="stable")
    part = asked.part.at(asked.part.rows[order[:COST_ROWS]])
    took = []
    for _ in range(COST_REPEATS):
        began = time.process_time()
        for _, block in part.blocks():
            model.predict(asked.question, block)
        took.append(time.process_time() - began)
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
