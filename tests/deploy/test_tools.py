"""The scripts under tools/: uv is found or refused for a reason; stages go on and tell the truth.

They are copied away and run there, on a PATH of the test's own: nothing is installed.
"""

import os
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYSTEM_TOOLS = (
    "sh", "bash", "env", "dirname", "mkdir", "rm", "printf", "sort", "head", "tail", "tee", "grep",
    "make", "cat", "sleep", "true", "false", "echo",
)  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """A copy of tools/ and an empty PATH but for the system's plain tools."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "bin").mkdir()
    for name in SYSTEM_TOOLS:
        if found := shutil.which(name):
            (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run(place: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=place,
        env={"PATH": str(place / "bin"), "HOME": str(place)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestFindUv:
    @pytest.mark.parametrize("version", ["0.8.0", "0.8.1", "0.13.9", "1.0.0"])
    def test_one_on_the_path_that_is_new_enough_is_taken(self, place, version):
        uv = program(place / "bin" / "uv", f"echo 'uv {version} (x86_64)'")
        assert run(place, "tools/find-uv").stdout == f"{uv}\n"

    @pytest.mark.parametrize("text", ["echo 'uv 0.7.99'", "exit 127"])
    def test_one_too_old_or_broken_is_not_and_without_python_that_is_an_error(self, place, text):
        program(place / "bin" / "uv", text)
        done = run(place, "tools/find-uv")
        assert (done.returncode, done.stdout) == (1, "")
        assert "needs python3" in done.stderr

    def test_a_named_one_comes_first(self, place):
        program(place / "bin" / "uv", "echo 'uv 0.9.0'")
        named = program(place / "mine", "echo 'uv 0.9.0'")
        assert run(place, "tools/find-uv", UV=str(named)).stdout == f"{named}\n"

    def test_without_ensurepip_it_is_installed_beside_the_systems_python(self, place):
        """Debian's python3 without python3-venv: `-m venv` fails half-way, pip --target works."""
        program(
            place / "bin" / "python3",
            'case "$2" in\n'
            'venv) mkdir -p "$3/bin"; exit 1;;\n'
            'pip) mkdir -p "$6/bin"; echo "echo uv 0.13.9" > "$6/bin/uv"; echo "$@" > asked;;\n'
            "esac",
        )
        done = run(place, "tools/find-uv")
        assert done.stdout == f"{place}/build/uv/target/bin/uv\n", done.stderr
        assert "--target" in (place / "asked").read_text()

    def test_when_nothing_works_the_cure_is_named(self, place):
        program(place / "bin" / "python3", "echo 'No module named pip' >&2; exit 1")
        done = run(place, "tools/find-uv")
        assert done.returncode == 1
        assert "apt install python3-venv" in done.stderr


class TestStages:
    def make(self, place, *stages):
        (place / "Makefile").write_text(
            "good:\n\t@echo 'SKIPPED [1] tests/x.py:1: no GPU'; echo '1 passed, 1 skipped'\n"
            "bad:\n\t@echo 'FAILED tests/y.py::test_y'; exit 1\n"
            "setup:\n\t@exit 1\n"
        )
        return run(place, "tools/stages", *stages)

    def test_all_pass(self, place):
        done = self.make(place, "good")
        assert done.returncode == 0, done.stderr
        assert "1 passed, 1 skipped" in done.stdout
        after = done.stdout.partition("== skipped ==")[2]
        assert "SKIPPED [1] tests/x.py:1: no GPU" in after
        assert "total" in after

    def test_one_fails_the_others_still_run(self, place):
        done = self.make(place, "bad", "good")
        assert done.returncode == 1
        assert "1 passed, 1 skipped" in done.stdout
        assert "FAILED tests/y.py::test_y" in done.stdout.partition("== failed ==")[2]
        assert done.stdout.endswith("failed: bad\n")

    def test_a_failed_set_up_ends_it(self, place):
        done = self.make(place, "setup", "good")
        assert done.returncode == 1
        assert "1 passed" not in done.stdout


def test_the_stages_of_make_test_share_out_all_tests_that_are_not_long():
    """Each test is in exactly one stage, whatever its marks."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    choices = [
        line.partition(" := ")[2]
        for line in lines
        if line.partition(" := ")[0] in {"UNITS", "BROKER", "MODEL", "OPERATIONS"}
    ]
    assert len(choices) == 4
    names = ("kafka", "model", "operations", "long")
    for values in product((False, True), repeat=len(names)):
        marks = dict(zip(names, values, strict=True))
        chosen = sum(bool(eval(choice, {}, marks)) for choice in choices)  # noqa: S307
        assert chosen == (0 if marks["long"] else 1), marks


def test_ci_leaves_no_process(place):
    """What a test leaves running is ended, found by the TMPDIR that only this run has."""
    (place / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", place / ".ci" / "run")
    for name in ("mktemp", "tr", "kill"):
        (place / "bin" / name).symlink_to(shutil.which(name))
    (place / "Makefile").write_text("test:\n\t@sleep 300 & echo $$! > pid; echo 1 passed\n")
    done = run(place, "bash", ".ci/run")
    assert done.returncode == 0, done.stderr
    pid = int((place / "pid").read_text())
    assert f"ended: process {pid}" in done.stdout
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    assert state == "Z"
