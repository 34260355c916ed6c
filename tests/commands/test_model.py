"""`forecart model`: bundles shown, checked, compared; the control record written, taken back."""

import json
import shutil
from pathlib import Path

import pytest

from stream.model.bundle import SHIPPED
from stream.model.shelf import version_in
from stream.shell.control import read_control
from stream.wire.topics import CONTROL
from tests.kafka_tools import produce

DEMO = version_in(SHIPPED)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The shipped bundle under another name, which makes it another version."""
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "other"))
    edit(folder, name="other")
    return folder


def edit(folder: Path, **changed: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changed))


def test_show_says_what_the_manifest_says(forecart):
    result = forecart("model", "show", str(SHIPPED))
    assert result.exit_code == 0
    assert DEMO in result.stdout
    assert "lstm 2x50" in result.stdout
    assert "invented data" in result.stdout


def test_check_runs_the_golden_batch(forecart, other):
    result = forecart("model", "check", str(other))
    assert result.exit_code == 0
    assert result.stdout.startswith(f"accepted: {version_in(other)}; golden batch of 24 rows")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tolerance": 1e-9}, "differs by"),
        ({"feature_schema": "0" * 64}, "feature schema"),
        ({"refresh_steps": 17}, "2 * refresh_steps=34 is more than window_steps=32"),
    ],
)
def test_check_refuses_in_one_line(forecart, other, changed, said):
    edit(other, **changed)
    result = forecart("model", "check", str(other))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: refused: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_compare_names_what_differs(forecart, other):
    edit(other, metrics={"P@10": 0.5})
    result = forecart("model", "compare", str(SHIPPED), str(other))
    assert result.exit_code == 0
    assert "P@10" in result.stdout
    assert "first               24  1.000             0.0000    0.0000" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "no-such"), "no bundle no-such in"),
        (("check", "/no/such"), "manifest.json: No such file"),
        (("compare", str(SHIPPED), "no-such"), "no bundle no-such"),
        (("activate", "no-such"), "no bundle no-such"),
        (("activate", "a b"), "is no version"),
    ],
)
def test_a_wrong_name_is_one_line(forecart, words, said):
    result = forecart("model", *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_shadow_wants_a_bundle_or_off(forecart):
    for words in ((), ("x", "--off")):
        result = forecart("model", "shadow", *words)
        assert result.exit_code == 2
        assert "name a bundle, or --off" in result.stderr


@pytest.mark.kafka
def test_the_record_and_the_way_back(on_broker, make_topics, kafka, other, tmp_path):
    topic = make_topics([CONTROL], 4)[CONTROL]
    models = ("--set", f"models_folder={tmp_path / 'models'}")
    second = version_in(other)

    def model(*words: str) -> str:
        result = on_broker("model", *words, *models)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def record():
        found, _ = read_control(kafka, topic, "main")
        assert found is not None
        return found.active, found.previous, found.shadow

    assert "names no model main" in model("show")
    refused = on_broker("model", "rollback", *models)
    assert "names no bundle that was active before" in refused.stderr
    model("shadow", str(other))
    assert record() == (DEMO, None, second)
    assert model("activate", second) == f"{second} is active; before: {DEMO}\n"
    assert record() == (second, DEMO, None)
    assert f"{second} is active already" in on_broker("model", "activate", second, *models).stderr
    produce(kafka, topic, [(b"main", b"rubbish")])  # ignored: the one before counts
    model("rollback")
    assert record() == (DEMO, second, None)
    model("shadow", second)
    model("shadow", "--off")
    assert record() == (DEMO, second, None)
    shown = model("show")
    assert f"active    {DEMO}" in shown
    assert f"{second}  previous  lstm 2x50" in shown
    edit(tmp_path / "models" / second, hazard_edges_ms=list(range(1, 9)))
    refused = on_broker("model", "activate", second, *models)
    assert refused.exit_code == 1
    assert "refused: hazard_edges_ms=[1, 2, 3" in refused.stderr
