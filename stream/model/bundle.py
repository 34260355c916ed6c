"""A model bundle in memory: read from a folder, checked, ready to be opened on a device.

Rules of the room: everything that can be checked without running a graph is checked here; golden.py
runs the graphs. A bundle that does not fit is refused with BundleError, one line.
"""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stream.core.layout import ACTIONS, EVENT_TYPES, STEP
from stream.model.manifest import (
    MANIFEST,
    MANIFEST_BYTES_MAX,
    BundleError,
    Manifest,
    iso_days,
    read_files,
    read_manifest,
    version_of,
)
from stream.model.signature import verify
from stream.model.step_features import StepTables, side_rows, step_tables
from stream.model.vocabulary import Vocabulary, read_vocabulary

SHIPPED: Final = Path(__file__).parent / "bundles" / "demo"

# name -> (dtype, dimensions) of golden.npz. G rows of one step each; K best items.
GOLDEN_FORM: Final = {
    "steps": (STEP, 1),  # (G,) canonical steps
    "gap_ms": (np.dtype(np.int64), 1),  # (G,)
    "item_id": (np.dtype(np.int32), 1),  # (G,) what they are encoded to
    "side_id": (np.dtype(np.int32), 2),  # (G, 6)
    "dense": (np.dtype(np.float32), 2),  # (G, 17)
    "state": (np.dtype(np.float32), 2),  # (G, state) states to start from
    "state_next": (np.dtype(np.float32), 2),
    "head": (np.dtype(np.float32), 2),  # (G, head)
    "context": (np.dtype(np.uint32), 2),  # (G, 3) hashes
    "next_event": (np.dtype(np.float32), 2),  # (G, 3)
    "purchase": (np.dtype(np.float32), 1),  # (G,)
    "hazard": (np.dtype(np.float32), 2),  # (G, 8)
    "item_scores": (np.dtype(np.float32), 2),  # (G, K) of the best items, descending
}
GOLDEN_BYTES_MAX: Final = 64 << 20  # of all arrays together
# What zipfile and numpy raise on bytes that are no such file, or one that tells untrue sizes.
_NO_ARRAYS: Final = (
    OSError, ValueError, EOFError, KeyError, MemoryError, RuntimeError, SyntaxError, TypeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a folder held. Arrays are read only by convention."""

    folder: Path
    manifest: Manifest
    version: str  # model_version of predictions
    contents: dict[str, bytes]  # files by name
    vocabulary: Vocabulary
    tables: StepTables
    golden: dict[str, npt.NDArray[Any]]  # GOLDEN_FORM

    @property
    def refresh_steps(self) -> int:
        """L."""
        return self.manifest.refresh_steps

    @property
    def hazard_edges_ms(self) -> tuple[int, ...]:
        """Upper edge of each bin of silence."""
        return tuple(self.manifest.hazard_edges_ms)

    @property
    def purchase_horizon(self) -> str:
        """ISO 8601 duration."""
        return iso_days(self.manifest.purchase_horizon_ms)

    @property
    def item_json(self) -> list[bytes]:
        """Item index -> its id, encoded as JSON; index 0 is null."""
        return self.vocabulary.item_json


def load_bundle(
    folder: Path | str | None = None, window_steps: int | None = None, public_key_file: str = ""
) -> Bundle:
    """Read and check a bundle; none given: the one that is shipped. Raises BundleError.

    `window_steps` is W of the deployment: a bundle with 2 L > W is refused. With a public key a
    bundle that is not signed with it is refused.
    """
    path = Path(folder) if folder else SHIPPED
    try:
        return _load(path, window_steps, public_key_file)
    except BundleError as error:
        raise BundleError(f"bundle {path}: {error}") from error


def _load(path: Path, window_steps: int | None, public_key_file: str) -> Bundle:
    try:
        with (path / MANIFEST).open("rb") as file:
            data = file.read(MANIFEST_BYTES_MAX + 1)
    except OSError as error:
        raise BundleError(f"{MANIFEST}: {error.strerror}") from error
    if public_key_file:
        verify(path, data, public_key_file)
    manifest = read_manifest(data)
    if window_steps is not None and 2 * manifest.refresh_steps > window_steps:
        raise BundleError(
            f"2 * refresh_steps={2 * manifest.refresh_steps} is more than "
            f"window_steps={window_steps}"
        )
    contents = read_files(path, manifest)
    vocabulary = read_vocabulary(contents["vocabulary.json"])
    if vocabulary.items_count != manifest.shapes.items:
        raise BundleError(
            f"vocabulary.json: {vocabulary.items_count} items, "
            f"manifest says {manifest.shapes.items}"
        )
    tables = tables_of(vocabulary)
    return Bundle(
        folder=path,
        manifest=manifest,
        version=version_of(manifest),
        contents=contents,
        vocabulary=vocabulary,
        tables=tables,
        golden=_read_golden(contents["golden.npz"]),
    )


def tables_of(vocabulary: Vocabulary) -> StepTables:
    """Make the look-up tables for encoding steps."""
    texts = vocabulary.texts
    return step_tables(
        vocabulary.item_map,
        vocabulary.category_map,
        (len(texts.items), len(texts.categories)),
        (texts.unknown_items, texts.unknown_categories),
        texts.token_buckets,
    )


def table_rows(vocabulary: Vocabulary) -> dict[str, int]:
    """Rows that the model's tables need: items, side, contexts."""
    return {
        "items": vocabulary.item_rows,
        "side": side_rows(tables_of(vocabulary)),
        "contexts": vocabulary.context_rows,
    }


def _read_golden(data: bytes) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        golden: dict[str, npt.NDArray[Any]] = {}
        if size <= GOLDEN_BYTES_MAX:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                golden = {name: file[name] for name in file.files}
    except _NO_ARRAYS as error:
        raise BundleError(f"golden.npz: {' '.join(str(error).split())[:200]}") from error
    if size > GOLDEN_BYTES_MAX:
        raise BundleError(f"golden.npz: {size} bytes inflated, at most {GOLDEN_BYTES_MAX}")
    steps = golden.get("steps")
    rows = len(steps) if steps is not None and steps.ndim else 0
    if not rows:
        raise BundleError("golden.npz: no rows of steps")
    for name, (dtype, dimensions) in GOLDEN_FORM.items():
        array = golden.get(name)
        if array is None:
            raise BundleError(f"golden.npz: {name} is missing")
        if array.dtype != dtype or array.ndim != dimensions or len(array) != rows:
            raise BundleError(f"golden.npz: {name} is {array.dtype} {array.shape}")
    steps = golden["steps"]
    if (steps["event_type"] >= len(EVENT_TYPES)).any() or (steps["action"] >= len(ACTIONS)).any():
        raise BundleError("golden.npz: a step of no known type or action")
    return golden
