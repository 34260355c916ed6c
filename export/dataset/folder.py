"""A dataset as a folder: written once, read by everything that trains or measures.

Rules of the room: user keys never get into it, only salted hashes of them. Every file has its
digest in the manifest; a folder that was changed is refused.

    manifest.json     where it is from, how it was cut, digests, counts
    log.npz           events and steps, partition after partition, in order of application
    users.npy         salted hashes of the users' keys, by number
    vocabulary.json   texts of the train split with their counts
    report.md, .json  what the data are like
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from export.dataset.event_log import EventLog
from export.dataset.packing import pack_arrays
from export.dataset.record import record
from export.dataset.split import Cuts, cut_places, split_of_events
from export.dataset.splits import Splits, make_splits
from export.dataset.vocabularies import Counts
from stream.core.config import EngineConfig
from stream.core.layout import EVENT, LAYOUT_VERSION, STEP
from stream.model.vocabulary import Vocabulary, read_vocabulary

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
LOG: Final = "log.npz"
USERS: Final = "users.npy"
VOCABULARY: Final = "vocabulary.json"
REPORT: Final = "report.md"
REPORT_DATA: Final = "report.json"
KEY_BYTES: Final = 16  # of a salted hash


class DatasetError(ValueError):
    """A dataset cannot be made or used. The message is one line, for the user."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, field by field."""

    format: int
    layout_version: int
    synthetic: bool  # true: simulated, says nothing about a real shop
    source: dict[str, Any]  # kind, and what names it: files with digests, topics with offsets
    command: str
    seed: int  # of the simulated shop; 0 elsewhere
    cuts: dict[str, int]  # split.Cuts
    items_from: str  # vocabularies.ITEM_FROM
    engine: dict[str, Any]  # config.EngineConfig, but L and what room it has
    purchase_horizon_ms: int
    counts: dict[str, Any]  # see report.json
    files: dict[str, str]  # sha256 of each file but this one


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a folder holds."""

    folder: Path
    manifest: Manifest
    log: EventLog
    cuts: Cuts
    counts: Counts

    def config(self, refresh_steps: int) -> EngineConfig:
        """Engine settings: those of the manifest, with L. Nobody's state is left out for room."""
        return engine_config(self.manifest.engine, refresh_steps, len(self.log.users))

    def vocabulary(self, items_max: int | None = None, items_min: int = 1) -> Vocabulary:
        """Name what train knows. Raises DatasetError where no item is left."""
        try:
            texts = self.counts.texts(items_max, items_min)
        except ValueError as error:
            raise DatasetError(f"{self.folder}: {error}") from error
        return read_vocabulary(msgspec.json.encode(texts))

    def splits(
        self,
        refresh_steps: int = 16,
        *,
        vocabulary: Vocabulary | None = None,
        purchase_horizon_ms: int | None = None,
    ) -> Splits:
        """Run the engine once and give train, validation and test. About 9 us an event.

        Without a vocabulary, all items of train. Raises DatasetError where a split has no row.
        """
        config = self.config(refresh_steps)
        vocabulary = vocabulary or self.vocabulary()
        horizon_ms = purchase_horizon_ms or self.manifest.purchase_horizon_ms
        places = cut_places(self.log, self.cuts, config.watermark_jump_ms_max)
        recorded = record(self.log, config, cuts=places)
        of_event = split_of_events(self.log, places)
        try:
            return make_splits(recorded, of_event, self.cuts, vocabulary, config, horizon_ms)
        except ValueError as error:
            raise DatasetError(f"{self.folder}: {error}") from error


def engine_config(kept: dict[str, Any], refresh_steps: int, users: int) -> EngineConfig:
    """Engine settings for a whole log: the window fits 2 L, everyone and every (h, c) is kept."""
    window = max(kept.get("window_steps", EngineConfig().window_steps), 2 * refresh_steps)
    return EngineConfig(
        **{
            **kept,
            "window_steps": window,
            "refresh_steps": refresh_steps,
            "users_max": max(users, 1),
            "hidden_users_max": max(users, 1),
        }
    )


def salted(users: list[bytes], salt: bytes) -> list[bytes]:
    """Hash keys so that nobody without the salt can tell whose they are: keyed BLAKE2b."""
    key = hashlib.blake2b(salt).digest()
    return [hashlib.blake2b(user, key=key, digest_size=KEY_BYTES).digest() for user in users]


def write_files(folder: Path, log: EventLog, counts: Counts) -> dict[str, str]:
    """Write log, users and vocabulary; returns their digests. The users must be hashes."""
    if any(len(user) != KEY_BYTES for user in log.users):
        raise ValueError("users that are no salted hashes")
    packed = pack_arrays(
        {
            "events": log.events,
            "steps": log.steps,
            "partition_first": np.array(log.partition_first, np.int64),
            "end_ms": np.array([log.end_ms], np.int64),
        }
    )
    users = io.BytesIO()
    np.save(users, np.frombuffer(b"".join(log.users), np.uint8).reshape(-1, KEY_BYTES))
    text = msgspec.json.format(msgspec.json.encode(counts), indent=1)
    contents = {LOG: packed, USERS: users.getvalue(), VOCABULARY: text + b"\n"}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


def load_dataset(folder: Path) -> Dataset:
    """Read and check a dataset folder. Raises DatasetError."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise DatasetError(f"{folder / MANIFEST}: {(error.strerror or '').lower()}") from error
    except msgspec.DecodeError as error:
        raise DatasetError(f"{folder / MANIFEST}: {error}") from error
    if (manifest.format, manifest.layout_version) != (FORMAT, LAYOUT_VERSION):
        raise DatasetError(
            f"{folder}: format {manifest.format}, layout {manifest.layout_version}; this code reads"
            f" {FORMAT} and {LAYOUT_VERSION}: make the dataset again"
        )
    contents = {name: _read(folder / name, digest) for name, digest in manifest.files.items()}
    with np.load(io.BytesIO(contents[LOG]), allow_pickle=False) as held:
        events, steps = held["events"], held["steps"]
        firsts = tuple(held["partition_first"].tolist())
        end_ms = int(held["end_ms"][0])
    if events.dtype != EVENT or steps.dtype != STEP:
        raise DatasetError(f"{folder / LOG}: events and steps are not those of this code")
    users = np.load(io.BytesIO(contents[USERS]), allow_pickle=False)
    log = EventLog(events, steps, [row.tobytes() for row in users], end_ms, firsts)
    counts = msgspec.json.decode(contents[VOCABULARY], type=Counts)
    return Dataset(folder, manifest, log, Cuts(**manifest.cuts), counts)


def _read(path: Path, digest: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: {(error.strerror or '').lower()}") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise DatasetError(f"{path}: not what the manifest says: make the dataset again")
    return data
