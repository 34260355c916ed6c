"""tools/release-notes: the section of a version, and one clear line where there is none."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGELOG = """\
# Changelog

## Unreleased

## 0.2.0 - 2027-01-01

### Added
- Two.

## 0.1.0 - 2026-12-01
- One.
"""


@pytest.fixture
def notes(tmp_path):
    """Ask a copy of the tool beside a changelog of the test's own."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "release-notes", tmp_path / "tools")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)

    def ask(*words):
        return subprocess.run(
            [tmp_path / "tools" / "release-notes", *words],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip

    return ask


@pytest.mark.parametrize(
    ("version", "said"), [("0.2.0", "### Added\n- Two.\n"), ("0.1.0", "- One.\n")]
)
def test_the_section_of_a_version(notes, version, said):
    done = notes(version)
    assert (done.returncode, done.stdout) == (0, said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("0.1",), "CHANGELOG.md has no section 0.1\n"),
        (("Unreleased",), "CHANGELOG.md says nothing of Unreleased\n"),
    ],
)
def test_no_notes_are_one_line(notes, words, said):
    done = notes(*words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_this_version_is_in_the_changelog_or_coming():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"\n## {version} " in text or f"Becomes {version}" in text
