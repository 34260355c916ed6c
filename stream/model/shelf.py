"""Bundles by version: a folder of folders, and the bundles that a worker has anyway.

Rules of the room: a version comes from a topic or a command line, so it is a plain name and is
never joined to a path unchecked. A bundle is put on the shelf whole or not at all.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stream.model.bundle import SHIPPED
from stream.model.manifest import FILES, MANIFEST, BundleError, Manifest, read_manifest, version_of
from stream.model.signature import SIGNATURE

VERSION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class Shelf:
    """`folder` holds bundles in folders named by their version; `others` lie elsewhere."""

    def __init__(self, folder: Path, others: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.others = [*others, SHIPPED]

    def find(self, version: str) -> Path:
        """Name the folder of a version. Raises BundleError."""
        if not VERSION.fullmatch(version):
            raise BundleError(f"{version!r} is no version of a bundle")
        path = self.folder / version
        if (path / MANIFEST).is_file():
            found = version_in(path)
            if found != version:
                raise BundleError(f"{path} holds {found}")
            return path
        for other in self.others:
            if (other / MANIFEST).is_file() and version_in(other) == version:
                return other
        raise BundleError(f"no bundle {version} in {self.folder}")

    def versions(self) -> list[str]:
        """Name what lies in the folder, sorted; folders without a manifest are passed over."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if (path / MANIFEST).is_file())

    def put(self, bundle: Path) -> str:
        """Copy a bundle onto the shelf, if it is not there; returns its version.

        Raises BundleError, also where its name is none for a folder.
        """
        version = version_in(bundle)
        if not VERSION.fullmatch(version):
            raise BundleError(f"{version!r} cannot be the name of a folder")
        place = self.folder / version
        if (place / MANIFEST).is_file():
            self.find(version)
            _copy_signature(bundle, place)  # it may have been signed since, or by another key
            return version
        work = self.folder / f".{version}.new"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for name in (*FILES, MANIFEST):
            shutil.copyfile(bundle / name, work / name)
        _copy_signature(bundle, work)
        work.rename(place)
        return version


def _copy_signature(bundle: Path, place: Path) -> None:
    if (bundle / SIGNATURE).is_file():
        work = place / f".{SIGNATURE}.new"
        shutil.copyfile(bundle / SIGNATURE, work)
        work.replace(place / SIGNATURE)


def manifest_in(folder: Path) -> Manifest:
    """Read a bundle's manifest. Raises BundleError."""
    try:
        return read_manifest((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise BundleError(f"bundle {folder}: {MANIFEST}: {error.strerror}") from error
    except BundleError as error:
        raise BundleError(f"bundle {folder}: {error}") from error


def version_in(folder: Path) -> str:
    """Read a bundle's version. Raises BundleError."""
    return version_of(manifest_in(folder))
