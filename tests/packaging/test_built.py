"""The wheel and the sdist: what is in them, and that they work where nothing else of ours is.

`uv build` makes the sdist from the tree and the wheel from the sdist, so both are tried at once.
Installed is from uv's cache, at the versions of uv.lock; from the registry where that lacks some.
"""

import email
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.deploy.from_pypi import uv_program

pytestmark = pytest.mark.operations
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TIMEOUT_S = 150
# The shipped bundle scores the next items of its golden batch: by ONNX Runtime alone, since an
# installation elsewhere would first compile our kernels, which takes longer than all else here.
PREDICT = """
import numpy as np
from stream.model.bundle import SHIPPED, load_bundle
from stream.model.graphs import CPU, OrtGraphs

bundle = load_bundle()
golden = bundle.golden
graphs = OrtGraphs(bundle.contents, bundle.manifest.shapes, CPU, threads=1)
inputs = [golden[name][None] for name in ("item_id", "side_id", "dense")]
tops, _ = graphs.steps(*inputs, golden["state"], np.ones(len(golden["steps"]), np.int32))
best = graphs.items(tops[0])[:, 1:].max(axis=1)
wanted = golden["item_scores"].max(axis=1)
print(SHIPPED)
agree = np.allclose(best, wanted, atol=bundle.manifest.tolerance)
print("as promised" if agree else (best, wanted))
"""


def uv(*words, cwd=ROOT):
    """Run uv without the network, and with it if that fails; a test skips if that fails too."""
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    for network in (("--offline",), ()):
        done = subprocess.run(
            [uv_program(), *words, *network, "--quiet"],
            cwd=cwd, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S,
            check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return done.stdout
    if "error sending request" in done.stderr or "network" in done.stderr.lower():
        pytest.skip(f"packages cannot be had: {done.stderr.strip().splitlines()[-1]}")
    raise AssertionError(done.stderr)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Paths of the sdist and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--out-dir", str(folder))
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory):
    """An environment that holds the wheel and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    locked = folder / "locked.txt"
    uv("export", "--locked", "--no-dev", "--no-emit-project", "--no-hashes", "-o", str(locked))
    uv("venv", "--python", sys.executable, str(folder / "env"))
    python = str(folder / "env" / "bin" / "python")
    uv("pip", "install", "--python", python, "-r", str(locked), str(built[1]))
    return folder / "env"


def run(environment, *words):
    """Run a program of the environment, away from the tree."""
    clean = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(
        [environment / "bin" / words[0], *words[1:]],
        cwd=environment, env=clean, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


def tracked(*folders):
    """Files of the tree below some folders, as git lists them or, without git, as they lie."""
    paths = {path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    return {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if "__pycache__" not in path.parts and path.suffix not in {".nbi", ".nbc"}
    }


def test_the_wheel_holds_the_service_and_nothing_of_the_workshop(built):
    names = set(zipfile.ZipFile(built[1]).namelist())
    outside = {name for name in names if not name.startswith(("stream/", "export/", "forecart-"))}
    assert outside == set()
    data = f"forecart-{PROJECT['version']}.data/data/share/forecart/"
    shared = {name.removeprefix(data) for name in names if name.startswith(data)}
    schemas = {name.removeprefix("docs/") for name in tracked("docs/schemas")}
    assert shared == schemas | {"asyncapi.json"}
    code = {name for name in names if name.startswith(("stream/", "export/"))}
    assert code == tracked("stream", "export")
    assert {"stream/model/bundles/demo/manifest.json", "stream/shell/page/live.html"} <= code


def test_the_sdist_holds_what_the_wheel_is_made_of_and_the_tests(built):
    top = f"forecart-{PROJECT['version']}/"
    with tarfile.open(built[0]) as archive:
        names = {name.removeprefix(top) for name in archive.getnames()}
    assert tracked("stream", "export", "docs/schemas") <= names
    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "tests/conftest.py"} <= names
    assert not {name for name in names if name.startswith((".venv", "build/", "dist/"))}


def test_the_version_and_the_pythons_are_those_of_pyproject(built, environment):
    wheel = zipfile.ZipFile(built[1])
    (path,) = [name for name in wheel.namelist() if name.endswith("dist-info/METADATA")]
    metadata = email.message_from_bytes(wheel.read(path))
    assert metadata["Version"] == PROJECT["version"]
    low, high = metadata["Requires-Python"].replace(" ", "").split(",")[::-1]
    assert {low, high} == {">=3.11", "<3.14"}
    told = [each.rpartition(" ")[2] for each in metadata.get_all("Classifier")]
    assert told == ["3.11", "3.12", "3.13"]
    done = run(environment, "forecart", "--version")
    assert done.stdout == f"forecart, version {PROJECT['version']}\n"


def test_installed_it_helps_and_predicts(environment):
    done = run(environment, "forecart", "--help")
    assert done.returncode == 0, done.stderr
    assert "worker" in done.stdout
    done = run(environment, "python", "-c", PREDICT)
    assert done.returncode == 0, done.stderr
    shipped, predicted = done.stdout.splitlines()
    assert Path(shipped).is_relative_to(environment)
    assert predicted == "as promised"
    assert (environment / "share/forecart/asyncapi.json").is_file()
