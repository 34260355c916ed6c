"""Target: model bundles. Every folder must be a bundle, or be refused with one line.

An input is a byte that names a file of the shipped bundle, and what stands in it instead. Digests
in the manifest are put right, as somebody who means it would. What is taken runs its golden batch.
"""

import contextlib
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Hashable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np

from stream.model import bundle as bundle_reader
from stream.model import manifest as manifest_reader
from stream.model import vocabulary as vocabulary_reader
from stream.model.bundle import SHIPPED, load_bundle
from stream.model.golden import check_golden
from stream.model.manifest import FILES, MANIFEST, BundleError
from stream.model.providers import open_graphs
from tests.fuzz.arcs import Arc, Tracer
from tests.fuzz.mutate import change_bytes, change_members
from tests.fuzz.target import Judged

NAMES: Final = (MANIFEST, "vocabulary.json", "golden.npz")
WINDOW_STEPS: Final = 32
TEXT_BYTES_MAX: Final = 4_000  # of a vocabulary to start from


class Bundles:
    """See stream.model.bundle, stream.model.manifest and stream.model.vocabulary."""

    name = "bundles"
    batch_inputs = 16
    traced_bytes_max = 1 << 20

    def __init__(self) -> None:
        self._files = {name: (SHIPPED / name).read_bytes() for name in (MANIFEST, *FILES)}
        self._graphs = open_graphs(load_bundle(), "cpu")
        self._tracer = Tracer(
            bundle_reader.__file__, manifest_reader.__file__, vocabulary_reader.__file__
        )

    def seeds(self) -> list[bytes]:
        """The shipped files."""
        return [bytes([at]) + self._files[name] for at, name in enumerate(NAMES)]

    def change(self, rng: Random, value: bytes, other: bytes) -> bytes:
        """Change a JSON file's members, an array's form or content, or any bytes."""
        at, data = value[0] % len(NAMES), value[1:]
        if NAMES[at] == "golden.npz":
            made = _golden_changed(rng, data) if rng.random() < 0.7 else data
            if made == data:
                made = _bytes_changed(rng, data)
        elif rng.random() < 0.7 and len(data) < 16_000:
            made = change_members(rng, data, b"")
        else:
            made = _bytes_changed(rng, data)
        return bytes([at]) + made

    def judge(self, inputs: Sequence[bytes]) -> Judged:
        """Load each from a folder."""
        judged = Judged([None] * len(inputs), 0, 0)
        with tempfile.TemporaryDirectory(prefix="forecart-fuzz-") as name:
            folder = Path(name)
            for file, data in self._files.items():
                (folder / file).write_bytes(data)
            for at, value in enumerate(inputs):
                try:
                    feature, accepted = self._load(folder, value)
                except Exception as error:  # noqa: BLE001 that it raises is what is looked for
                    judged.failures.append((at, f"{type(error).__name__}: {error}"))
                    continue
                judged.features[at] = feature
                judged.accepted += accepted
                judged.refused += not accepted
        return judged

    def arcs(self, value: bytes) -> set[Arc]:
        """Trace loading."""
        return self._tracer.of(lambda: self.judge([value]))

    def _load(self, folder: Path, value: bytes) -> tuple[Hashable, bool]:
        changed = NAMES[value[0] % len(NAMES)]
        contents = self._files | {changed: value[1:]}
        if changed != MANIFEST:
            contents[MANIFEST] = _resealed(contents[MANIFEST], changed, value[1:])
        for name in (changed, MANIFEST):
            (folder / name).write_bytes(contents[name])
        try:
            bundle = load_bundle(folder, WINDOW_STEPS)
            check_golden(bundle, self._graphs)
        except BundleError as error:
            text = str(error)
            if "\n" in text or len(text) > 1_000:
                raise AssertionError(
                    f"refused with {len(text)} characters: {text!r:.200}"
                ) from error
            said = text.split(": ", 1)[-1]
            return "".join(filter(str.isalpha, said[:40])), False
        finally:
            for name in (changed, MANIFEST):
                (folder / name).write_bytes(self._files[name])
        return (changed, len(bundle.vocabulary.item_ids) > 1), True


def _resealed(manifest: bytes, name: str, data: bytes) -> bytes:
    about: dict[str, Any] = json.loads(manifest)
    digest = hashlib.sha256(data).hexdigest()
    about["files"][name] = {"sha256": digest, "size_bytes": len(data)}
    return json.dumps(about).encode()


def _bytes_changed(rng: Random, data: bytes) -> bytes:
    """Change bytes of a long file in one short stretch: the rest stays as long as it is."""
    first = rng.randrange(max(1, len(data)))
    part = data[first : first + 256]
    return data[:first] + change_bytes(rng, part, data[:99]) + data[first + 256 :]


def _golden_changed(rng: Random, data: bytes) -> bytes:
    """Change one array: its values, type, length, or the form that its header tells."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception:  # noqa: BLE001 an input that is broken already
        return data
    if not arrays:
        return data
    name = rng.choice(sorted(arrays))
    array = arrays[name]
    kind = rng.randrange(7)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name] = array[: rng.choice((0, 1))]
    elif kind == 2 and array.ndim == 2:
        arrays[name] = np.repeat(array, 2, axis=1) if rng.random() < 0.5 else array[:, :1]
    elif kind == 3 and array.dtype.names is None:
        arrays[name] = array.astype(rng.choice((np.float64, np.int8, np.complex64)))
    elif kind == 4:
        raw = bytearray(array.tobytes())
        if raw:
            raw[rng.randrange(len(raw))] = rng.choice((0, 127, 128, 255))
        arrays[name] = np.frombuffer(bytes(raw), array.dtype).reshape(array.shape)
    elif kind == 5 and array.dtype.names is not None:
        array = array.copy()
        with contextlib.suppress(OverflowError):
            array[rng.choice(array.dtype.names)] = rng.choice((0, 1, 3, 6, 200, 255))
        arrays[name] = array
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, value, allow_pickle=True)
            text = content.getvalue()
            if key == name and kind == 6:
                text = text.replace(b"'shape': (", b"'shape': (9" + b"0" * rng.choice((0, 5, 11)))
            archive.writestr(f"{key}.npy", text)
    return file.getvalue()
