"""Searches: of validation alone, resumable to the same end, in the order that each method says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("sklearn", reason="models need the export extra")
pytest.importorskip("optuna", reason="searches need the export extra")

from export.__main__ import group
from export.dataset.folder import Dataset
from export.evaluation import questions
from export.evaluation.runs import Settings
from export.models.contract import NEXT_ITEM, PURCHASE
from export.tuning.learning import Learning, learning_of
from export.tuning.lengths import choose, length_jobs, read_lengths
from export.tuning.pages import length_blocks, search_blocks, train_command
from export.tuning.search import (
    TRIALS,
    Plan,
    SearchError,
    Trial,
    best,
    claim,
    importance,
    make_plan,
    propose,
    search,
)
from stream.core.config import DAY_MS
from stream.core.layout import type_of
from tests.export.small_study import small_dataset

pytestmark = pytest.mark.model
SETTINGS = Settings(4, 1, DAY_MS, DAY_MS, (PURCHASE, NEXT_ITEM), ("validation",))
NAMED = {"seed_of_training": 1}
SPACE = {"depth": (2, 4), "leaf": (5, 50)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return small_dataset(tmp_path_factory.mktemp("dataset") / "shop")


@pytest.fixture(scope="module")
def learning(dataset: Dataset) -> Learning:
    return learning_of(dataset, SETTINGS)


def plan_of(method: str) -> Plan:
    return replace(make_plan("decision-tree", PURCHASE, method, seed=3), space=SPACE)


def run(folder: Path, plan: Plan, learning: Learning, count: int) -> list[Trial]:
    trials = claim(folder, plan, NAMED)
    return search(
        folder, plan, learning, SETTINGS, trials, lambda done: done < count, lambda _: None
    )


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_interrupted_a_search_ends_where_one_at_a_go_does(
    method: str, learning: Learning, tmp_path: Path
) -> None:
    plan = plan_of(method)
    whole = run(tmp_path / "whole", plan, learning, 4)
    for count in (1, 4):
        parts = run(tmp_path / "parts", plan, learning, count)
        assert len(parts) == count
    assert [(t.options, t.value) for t in parts] == [(t.options, t.value) for t in whole]
    tried = [tuple(trial.options.values()) for trial in whole]
    assert len(set(tried)) == 4, "no setting twice"
    assert len(run(tmp_path / "whole", plan, learning, 99)) == 4, "the space has no more"
    if method == "grid":
        assert tried == [(2, 5), (2, 50), (4, 5), (4, 50)]
    top = best(plan, whole)
    assert top.value == min(trial.value for trial in whole), "log-loss: less is better"
    share = importance(plan, whole)
    assert share.keys() == SPACE.keys()
    assert sum(share.values()) == pytest.approx(1)
    text = str(search_blocks(plan, whole, "", "again"))
    assert "Best of 4 of 4 settings" in text


def test_a_bayesian_search_learns_from_what_it_saw() -> None:
    space = {"depth": tuple(range(30)), "leaf": tuple(range(30))}
    plan = Plan("decision-tree", PURCHASE, "bayes", 1, space)

    def away(method: str) -> float:
        own, trials = replace(plan, method=method), []
        for number in range(40):
            options = propose(own, trials)
            distance = abs(options["depth"] - 22) + abs(options["leaf"] - 7)
            trials.append(Trial(number, options, float(distance), 0.0))
        return float(np.mean([trial.value for trial in trials[20:]]))

    assert away("bayes") < 0.7 * away("random")


def test_nothing_of_test_is_seen(dataset: Dataset, learning: Learning, tmp_path: Path) -> None:
    events = dataset.log.events.copy()
    later = events["time_ms"] >= dataset.cuts.test_ms
    assert later.sum() > 100
    events["event_type"][later] = type_of["search"]
    steps = dataset.log.steps.copy()
    steps["item"][events["step_first"][later]] = 0
    poisoned = replace(dataset, log=replace(dataset.log, events=events, steps=steps))
    plan = plan_of("grid")
    ours = run(tmp_path / "ours", plan, learning, 2)
    other = run(tmp_path / "other", plan, learning_of(poisoned, SETTINGS), 2)
    assert [trial.value for trial in ours] == [trial.value for trial in other]
    assert not hasattr(learning, "test")


def test_a_folder_is_of_one_search(tmp_path: Path) -> None:
    claim(tmp_path / "one", plan_of("grid"), {"dataset": "a"})
    with pytest.raises(SearchError, match="another dataset, method"):
        claim(tmp_path / "one", plan_of("bayes"), {"dataset": "b"})
    (tmp_path / "one" / TRIALS).write_text("{")
    with pytest.raises(SearchError, match="one: "):
        claim(tmp_path / "one", plan_of("grid"), {"dataset": "a"})
    for wrong in (("lstn", ""), ("popularity", ""), ("logistic", NEXT_ITEM)):
        with pytest.raises(SearchError):
            make_plan(*wrong, "grid", 1)


def test_the_train_command_of_the_best_is_one_that_train_takes() -> None:
    plan = make_plan("lstm", NEXT_ITEM, "bayes", 1)
    options = {name: values[0] for name, values in plan.space.items()}
    words = train_command(plan, Trial(0, options, 0.5, 1.0), "DATA", 16).split()
    command = group.get_command(None, "train")  # type: ignore[arg-type]
    assert command is not None
    context = command.make_context("train", words[words.index("train") + 1 :])
    assert context.params["width"] == options["hidden"]
    assert context.params["dropout"] == options["dropout"]
    assert not train_command(plan_of("grid"), Trial(0, {}, 0.5, 1.0), "DATA", 16)


def test_lengths_are_run_compared_and_one_is_chosen(dataset: Dataset, tmp_path: Path) -> None:
    lengths = (2, 4)
    jobs = length_jobs(tmp_path, dataset, SETTINGS, "logistic-window", lengths)
    assert list(jobs) == ["L=2", "L=4"]
    for job in jobs.values():
        job(lambda _: None)
    assert length_jobs(tmp_path, dataset, SETTINGS, "logistic-window", lengths) == {}
    curve = read_lengths(tmp_path, dataset, SETTINGS, "logistic-window", lengths, draws=50)
    assert [made.question for made in curve.answered] == [PURCHASE]
    assert {row.model for row in curve.answered[0].rows} == {"L=2", "L=4"}
    assert curve.chosen == choose(lengths, curve.answered)
    assert curve.abouts[2].row_us.keys() == {PURCHASE}
    text = str(length_blocks(tmp_path, curve, "again"))
    assert f"**Take L={curve.chosen}**" in text
    assert (tmp_path / "lengths.svg").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tune"], "--dataset and --out are needed"),
        (["tune", "--dataset", "x", "--out", "y"], "give --budget"),
        (["tune", "--dataset", "x", "--out", "y", "--budget", "1", "--model", "z"], "no model"),
        (["tune", "--dataset", "/none", "--out", "y", "--budget", "1"], "no such file"),
        (["tune", "lengths", "--dataset", "x", "--out", "y", "--lengths", "a"], "numbers"),
        (["tune", "lengths", "--dataset", "x", "--out", "y", "--lengths", "0"], "at least 1"),
    ],
)
def test_wrong_calls_end_in_one_line(words: list[str], said: str) -> None:
    done = CliRunner().invoke(group, words)
    assert done.exit_code != 0
    assert said in done.output
    assert "Traceback" not in done.output


def test_the_command_searches_and_goes_on(dataset: Dataset, tmp_path: Path) -> None:
    words = ["tune", "--dataset", str(dataset.folder), "--out", str(tmp_path / "out")]
    words += ["--model", "decision-tree", "--question", PURCHASE, "--method", "random"]
    words += ["--refresh-steps", "4"]
    for budget in ("1", "2"):
        done = CliRunner().invoke(group, [*words, "--budget", budget], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert len((tmp_path / "out" / TRIALS).read_text().splitlines()) == 2
    assert "Best of 2 of 16 settings" in (tmp_path / "out" / "report.md").read_text()


def test_features_are_reported(dataset: Dataset, tmp_path: Path) -> None:
    words = ["tune", "features", "--dataset", str(dataset.folder), "--out", str(tmp_path)]
    done = CliRunner().invoke(group, [*words, "--refresh-steps", "4"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "report.md").read_text()
    assert "Features for next_action" in text
    assert "Features for purchase" in text
    assert "test is not read" in text


def test_features_of_too_few_users_are_refused(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "USERS_MIN", 10_000)
    words = ["tune", "features", "--dataset", str(dataset.folder), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(group, [*words, "--refresh-steps", "4"])
    assert done.exit_code == 1
    assert "nothing can be asked. next_action: validation: " in done.output
    assert not (tmp_path / "out").exists()
