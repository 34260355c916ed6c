"""Compiled kernels are kept per state of the sources, so that old code is never run from disk."""

import os
from pathlib import Path

import pytest

from stream.kernel_cache import VARIABLE, choose_folder, sources_digest


def test_another_source_is_another_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "outer.py").write_text("from inner import called\n")
    (tmp_path / "inner" / "called.py").write_text("def called(): return 1\n")
    before = sources_digest(tmp_path)
    assert sources_digest(tmp_path) == before
    (tmp_path / "inner" / "called.py").write_text("def called(): return 2\n")
    assert sources_digest(tmp_path) != before


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
