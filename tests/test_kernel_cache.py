"""Compiled kernels are kept per state of the sources, so that old code is never run from disk."""

import os
import re
from pathlib import Path

import pytest

from stream.kernel_cache import ROOMS, ROOT, VARIABLE, choose_folder, sources_digest


def test_another_source_is_another_folder(tmp_path: Path) -> None:
    called = tmp_path / "core" / "inner" / "called.py"
    called.parent.mkdir(parents=True)
    called.write_text("def called(): return 1\n")
    before = sources_digest(tmp_path)
    (tmp_path / "shell").mkdir()
    (tmp_path / "shell" / "no_kernel.py").write_text("")
    assert sources_digest(tmp_path) == before
    called.write_text("def called(): return 2\n")
    assert sources_digest(tmp_path) != before


def test_kernels_are_in_those_rooms_and_see_nothing_else() -> None:
    decorated = [
        path
        for path in ROOT.rglob("*.py")
        if re.search(r"^@compiled(_short)?$", path.read_text(), re.MULTILINE)
    ]
    assert len(decorated) > 10
    for path in decorated:
        assert path.relative_to(ROOT).parts[0] in ROOMS, path
        for seen in re.findall(r"^from stream\.(\w+)", path.read_text(), re.MULTILINE):
            assert seen in ROOMS, f"{path} imports stream.{seen}"


def test_the_folder_lies_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    choose_folder()
    assert os.environ[VARIABLE] == str(tmp_path / sources_digest())


def test_a_child_process_takes_the_same_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    choose_folder()
    chosen = os.environ[VARIABLE]
    choose_folder()
    assert os.environ[VARIABLE] == chosen
