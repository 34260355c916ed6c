"""A log to a dataset folder: cut, counted, renumbered, described.

Rules of the room: what is fitted (vocabularies) is counted on train alone. Users are numbered by
their first event, those of train first, so that nothing of train depends on what came later. A
folder is written whole or not at all.
"""

import hashlib
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from export.dataset.event_log import EventLog, step_index
from export.dataset.folder import (
    FORMAT,
    MANIFEST,
    REPORT,
    REPORT_DATA,
    Dataset,
    DatasetError,
    Manifest,
    engine_config,
    load_dataset,
    salted,
    write_files,
)
from export.dataset.names import Names
from export.dataset.record import record
from export.dataset.report import describe
from export.dataset.report_page import render
from export.dataset.split import Cuts, cut_places, cuts_by_share, split_of_events
from export.dataset.splits import make_splits
from export.dataset.vocabularies import ITEM_FROM, count_texts, items_from_categories
from stream.core.config import DAY_MS, EngineConfig
from stream.core.layout import LAYOUT_VERSION, Outcome
from stream.model.vocabulary import read_vocabulary

REFRESH_STEPS: Final = 16  # L by which lengths are described
NOT_KEPT: Final = frozenset(
    {"refresh_steps", "users_max", "hidden_users_max", "hash_key", "hazard_edges_ms"}
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a dataset is to be cut. Cuts by time go before shares."""

    validation_share: float = 0.1
    test_share: float = 0.1
    validation_ms: int | None = None
    test_ms: int | None = None
    items_from: str = ITEM_FROM[0]
    purchase_horizon_ms: int = 7 * DAY_MS
    salt: bytes = b""
    engine: EngineConfig = field(default_factory=EngineConfig)  # of the deployment


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a log is from, for the manifest."""

    source: dict[str, Any]
    command: str
    synthetic: bool = False
    seed: int = 0


def build_dataset(
    folder: Path,
    log: EventLog,
    names: Names,
    origin: Origin,
    wishes: Wishes,
    say: Callable[[str], None] = print,
) -> Dataset:
    """Write a dataset of a log. About 16 us an event. Raises DatasetError; leaves no half folder.

    `folder` must not be there yet.
    """
    if folder.exists():
        raise DatasetError(f"{folder} is there already: name a folder that is not")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        partial.mkdir()
        try:
            _write(partial, log, names, origin, wishes, say)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise DatasetError(f"{folder}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise DatasetError(str(error)) from error
    return load_dataset(folder)


def _write(
    folder: Path,
    log: EventLog,
    names: Names,
    origin: Origin,
    wishes: Wishes,
    say: Callable[[str], None],
) -> None:
    if wishes.items_from not in ITEM_FROM:
        raise ValueError(f"items from {wishes.items_from}: one of {', '.join(ITEM_FROM)}")
    if wishes.items_from == "category":
        log = items_from_categories(log, names)
    cuts = _cuts(log, wishes)
    kept = _settings(wishes.engine)
    config = engine_config(kept, REFRESH_STEPS, len(log.users))
    places = cut_places(log, cuts, config.watermark_jump_ms_max)
    of_event = split_of_events(log, places)
    log = tidied(log, of_event)
    log = EventLog(log.events, log.steps, salted(log.users, wishes.salt), log.end_ms,
                   log.partition_first)  # fmt: skip
    say(f"{len(log.events)} events of {len(log.users)} users: running the engine over them")
    recorded = record(log, config, cuts=places)
    learned = np.flatnonzero((of_event == 0) & (recorded.outcome == Outcome.PREDICTED))
    counts = count_texts(log, names, learned)
    vocabulary = read_vocabulary(msgspec.json.encode(counts.texts()))
    splits = make_splits(recorded, of_event, cuts, vocabulary, config, wishes.purchase_horizon_ms)
    files = write_files(folder, log, counts)
    report = describe(log, recorded, of_event, cuts, splits, counts)
    for split in splits.each():
        if not (split.data.labels.purchase >= 0).any():
            say(f"{split.name}: shorter than the purchase horizon, no such answer is known in it")
    manifest = Manifest(
        format=FORMAT,
        layout_version=LAYOUT_VERSION,
        synthetic=origin.synthetic,
        source=origin.source,
        command=origin.command,
        seed=origin.seed,
        cuts=asdict(cuts),
        items_from=wishes.items_from,
        engine=kept,
        purchase_horizon_ms=wishes.purchase_horizon_ms,
        counts=report["counts"],
        files=files,
    )
    texts = {
        REPORT_DATA: msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n",
        REPORT: render(manifest, report).encode(),
    }
    for name, data in texts.items():
        (folder / name).write_bytes(data)
        manifest.files[name] = hashlib.sha256(data).hexdigest()
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (folder / MANIFEST).write_bytes(text + b"\n")


def tidied(log: EventLog, of_event: npt.NDArray[np.uint8]) -> EventLog:
    """Lay steps in the order of events, number users by first event, those of train first.

    Steps and users that no event names are left out.
    """
    events = log.events.copy()
    steps = log.steps[step_index(events)]
    events["step_first"] = np.cumsum(events["steps_count"]) - events["steps_count"]
    order = np.argsort(of_event, kind="stable")
    owner = events["user"][order]
    users, first = np.unique(owner[owner >= 0], return_index=True)
    by_first = users[np.argsort(first)]
    number = np.full(len(log.users) + 1, -1, np.int32)  # the last one serves -1
    number[by_first] = np.arange(len(by_first))
    events["user"] = number[events["user"]]
    keys = [log.users[user] for user in by_first.tolist()]
    return EventLog(events, steps, keys, log.end_ms, log.partition_first)


def _cuts(log: EventLog, wishes: Wishes) -> Cuts:
    shared = cuts_by_share(log, wishes.validation_share, wishes.test_share)
    return Cuts(
        wishes.validation_ms or shared.validation_ms, wishes.test_ms or shared.test_ms, log.end_ms
    )


def _settings(config: EngineConfig) -> dict[str, Any]:
    return {
        name: getattr(config, name) for name in config.__dataclass_fields__ if name not in NOT_KEPT
    }
