"""Bundles by version: found, put there whole, and never outside the folder."""

import shutil
from pathlib import Path

import pytest

from stream.model.bundle import SHIPPED, Bundle
from stream.model.manifest import BundleError
from stream.model.shelf import Shelf, version_in


def test_put_and_found(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "models")
    assert shelf.versions() == []
    with pytest.raises(BundleError, match=f"no bundle {bundle.version} in"):
        shelf.find(bundle.version)
    assert shelf.put(folder) == bundle.version
    assert shelf.put(folder) == bundle.version  # twice is the same as once
    assert shelf.find(bundle.version) == tmp_path / "models" / bundle.version
    assert shelf.versions() == [bundle.version]


def test_what_lies_elsewhere_is_found_too(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, [folder, tmp_path / "nowhere"])
    assert shelf.find(bundle.version) == folder
    assert shelf.find(version_in(SHIPPED)) == SHIPPED


def test_a_folder_under_a_wrong_name(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other-1")
    with pytest.raises(BundleError, match=f"other-1 holds {bundle.version}"):
        Shelf(tmp_path).find("other-1")


@pytest.mark.parametrize("version", ["../x", "/etc", ".x", "a/b", "", "a b"])
def test_a_version_is_no_path(version: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no version"):
        Shelf(tmp_path).find(version)


def test_half_a_bundle_is_not_put(folder: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    (broken / "heads.onnx").unlink()
    shelf = Shelf(tmp_path / "models")
    with pytest.raises(FileNotFoundError):
        shelf.put(broken)
    assert shelf.versions() == []
