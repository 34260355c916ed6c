"""A comparison whole: small models on a small shop, killed in the middle, run again, reported."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("sklearn", reason="models need the export extra")
pytest.importorskip("matplotlib", reason="reports need the export extra")

from export.__main__ import group
from export.dataset.folder import Dataset
from export.evaluation.comparison import by_length, compare
from export.evaluation.questions import Asked, ask, measures
from export.evaluation.runs import (
    ANSWERS,
    Opened,
    Settings,
    open_dataset,
    read_kept,
    run_model,
)
from export.evaluation.study import StudyError, claim
from export.evaluation.wording import BETTER, NOISE, WORSE, conclusion, primary, verdict
from export.models.contract import HAZARD, NEXT_ACTION, NEXT_ITEM, PURCHASE, QUESTIONS
from stream.core.config import DAY_MS, HOUR_MS
from tests.export.small_study import small_dataset

pytestmark = pytest.mark.model
SETTINGS = Settings(4, 1, 12 * HOUR_MS, DAY_MS, tuple(QUESTIONS))
FLAGS = ["--refresh-steps", "4", "--silence-hours", "12", "--churn-days", "1", "--jobs", "1"]
NAMES = ["popularity", "markov", "logistic"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("dataset") / "shop")


@pytest.fixture(scope="module")
def opened(dataset: Dataset) -> Opened:
    return open_dataset(dataset, SETTINGS)


def arguments(dataset: Dataset, out: Path, *more: str) -> list[str]:
    given = ["compare", "--dataset", str(dataset.folder), "--out", str(out)]
    return [*given, "--only", ",".join(NAMES), *FLAGS, *more]


@pytest.mark.timeout(600)  # two processes that import torch, on a machine with other work
def test_killed_and_run_again_it_ends_in_the_same_answers(dataset: Dataset, tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "export", *arguments(dataset, out)]
    running = subprocess.Popen(command, env=environment, start_new_session=True)
    first = out / "models" / NAMES[0] / ANSWERS
    try:
        while not first.exists():
            assert running.poll() is None, "ended before it could be killed"
            time.sleep(0.02)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    before = first.stat().st_mtime_ns
    done = CliRunner().invoke(group, arguments(dataset, out), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert first.stat().st_mtime_ns == before, "what was complete is not run again"
    for name in NAMES:
        run_model(name, whole, dataset.folder, SETTINGS, lambda _: None)
        one = (out / "models" / name / ANSWERS).read_bytes()
        assert one == (whole / name / ANSWERS).read_bytes()
    markdown, page = (out / "report.md").read_text(), (out / "report.html").read_text()
    for said in (
        "Which model to choose", "**Next item (synthetic data",
        "**Purchase intent (synthetic", "noise",
        "How to read this", "Every algorithm at a glance", "train s", "us a row", "P@10", "NDCG@20",
        "by length of the user's history", "Next action by class", "calibration", "ROC", "ECE",
        "The data", "synthetic", "validation", "How it was done", "Again:",
    ):  # fmt: skip
        assert said in markdown, said
    assert markdown.count("![") == page.count("<figure>") >= 8
    for source in ("src=", "http://", "https://"):
        assert source not in page.replace("http://www.w3.org", "").replace(
            "http://purl.org", ""
        ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", ""), source
    again = CliRunner().invoke(group, arguments(dataset, out, "--seed", "2"))
    assert again.exit_code == 1
    assert "seed 1 there, 2 now" in again.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--only", "lstn"], "no model is called lstn"),
        (["--dataset", "/nowhere"], "/nowhere/manifest.json: no such file"),
        (["--jobs", "0"], "0 is not in the range"),
    ],
)
def test_wrong_calls_end_in_one_line(
    dataset: Dataset, tmp_path: Path, change: list[str], said: str
) -> None:
    done = CliRunner().invoke(group, [*arguments(dataset, tmp_path / "out"), *change])
    assert done.exit_code != 0
    assert said in done.output
    assert "Traceback" not in done.output


def test_models_are_listed() -> None:
    done = CliRunner().invoke(group, ["compare", "--models-list"])
    assert done.exit_code == 0
    assert all(name in done.output for name in NAMES)


def test_a_folder_is_of_one_dataset_and_one_set_of_settings(
    dataset: Dataset, tmp_path: Path
) -> None:
    claim(tmp_path / "one", dataset, SETTINGS)
    claim(tmp_path / "one", dataset, SETTINGS)
    with pytest.raises(StudyError, match="refresh_steps 4 there, 5 now"):
        claim(tmp_path / "one", dataset, replace(SETTINGS, refresh_steps=5))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(StudyError, match="holds no comparison"):
        claim(tmp_path / "other", dataset, SETTINGS)
    (tmp_path / "one" / "markov").mkdir()
    with pytest.raises(ValueError, match="delete it to run markov again"):
        read_kept(tmp_path / "one", "markov")


def crafted(asked: dict[str, Asked], error: dict[str, float]) -> dict[str, dict[str, np.ndarray]]:
    """Answers of made-up models: the truth, moved towards one half by their error."""
    return {
        split: {name: np.abs(rows.truth - share) for name, share in error.items()}
        for split, rows in asked.items()
    }


def test_the_best_on_validation_is_chosen_and_noise_is_called_noise(opened: Opened) -> None:
    asked = opened.asked[PURCHASE]
    kept = crafted(asked, {"good": 0.2, "twin": 0.2, "logistic": 0.3, "poor": 0.4})
    made = compare(asked, kept, frozenset({"logistic"}), seed=1, draws=50)
    assert (made.chosen, made.reference) == ("good", "logistic")
    assert [row.model for row in made.rows] == ["good", "twin", "logistic", "poor"]
    assert made.alike() == ["twin"]
    column = primary(PURCHASE)
    found = {row.model: verdict(row.differences[column.name], column) for row in made.rows}
    assert found == {"good": BETTER, "twin": BETTER, "logistic": NOISE, "poor": WORSE}
    assert made.row("good").values["log-loss"].value == pytest.approx(-np.log(0.8), abs=1e-6)
    assert made.row("good").values["RMSE"].value == pytest.approx(0.2)
    chosen_by = kept["validation"] | {"poor": kept["validation"]["good"] * 0.5}
    turned = compare(asked, kept | {"validation": chosen_by}, frozenset(), seed=1, draws=50)
    assert turned.chosen == "poor", "test has no say in the choice"
    beside = compare(
        asked, crafted(asked, {"good": 0.2, "lstm": 0.4}), frozenset(), seed=1, draws=9
    )
    assert beside.reference == "lstm"
    assert "ships" not in conclusion(beside, {}, synthetic=False), "not compared with itself"


def test_measures_of_every_question_on_certain_answers(opened: Opened) -> None:
    certain = {
        NEXT_ITEM: lambda asked: np.ones(len(asked.truth)),
        NEXT_ACTION: lambda asked: np.eye(3)[asked.truth],
        PURCHASE: lambda asked: asked.truth.astype(float),
        HAZARD: lambda asked: asked.truth.astype(float),
    }
    best = {"P@10": 1, "MRR@20": 1, "NDCG@20": 1, "ROC AUC": 1, "PR AUC": 1, "F1": 1, "ECE": 0}
    for question in QUESTIONS:
        asked = opened.asked[question]["test"]
        weight = np.ones(len(asked.truth))
        for name, measure in measures(asked, certain[question](asked)).items():
            if name in best:
                assert measure(weight) == pytest.approx(best[name], abs=1e-6), (question, name)


def test_lengths_tile_the_rows(opened: Opened) -> None:
    asked = opened.asked[NEXT_ITEM]["test"]
    rank = np.where(asked.steps <= 4, 1.0, 50.0)
    lengths = by_length(asked, {"short": rank})
    assert sum(length.rows for length in lengths) == len(asked.truth)
    assert {length.values["short"] for length in lengths if length.last and length.last <= 4} == {1}
    assert all(length.values["short"] == 0 for length in lengths if length.first > 4)


def test_questions_that_say_nothing_are_left_out(dataset: Dataset, opened: Opened) -> None:
    part = opened.asked[PURCHASE]["test"].part
    few = part.at(part.rows[part.data.user[part.rows] < np.unique(part.data.user[part.rows])[10]])
    with pytest.raises(ValueError, match="20 of each needed"):
        ask(PURCHASE, few, SETTINGS.churn)
    with pytest.raises(ValueError, match="users; 20 are needed"):
        ask(NEXT_ITEM, few, SETTINGS.churn)
    log = dataset.log
    active = np.full(len(log.events), True)
    active &= np.isin(
        log.events["user"], log.events["user"][log.events["time_ms"] > log.end_ms - DAY_MS]
    )
    chosen = replace(dataset, log=replace(log, events=log.events[active]))
    left_out = open_dataset(chosen, SETTINGS).left_out
    assert "were chosen for that" in left_out[HAZARD]
