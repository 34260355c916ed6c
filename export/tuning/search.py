"""Search for a model's best options: grid, by chance, or Bayesian (TPE, Bergstra et al., 2011).

Rules of the room: judged on validation. Every trial is a line of trials.jsonl as soon as it is
done; trial n depends on the seed, n and the trials before it, so a search that was interrupted ends
where one that was not does.
"""

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import optuna

from export.evaluation.comparison import primary_value
from export.evaluation.questions import COLUMNS, PRIMARY, answer
from export.evaluation.runs import Settings
from export.models.contract import Say
from export.models.registry import MODELS, make
from export.tuning.learning import Learning

METHODS: Final = ("grid", "random", "bayes")
SEARCH: Final = "search.json"
TRIALS: Final = "trials.jsonl"
FIRST_BY_CHANCE: Final = 5  # trials of the Bayesian search before it begins to learn

Options = dict[str, Any]


class SearchError(ValueError):
    """A search cannot be made. The message is one line, for the user."""


class Trial(msgspec.Struct, frozen=True):
    """A line of the file."""

    number: int
    options: Options
    value: float  # primary measure of the question on validation
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is searched."""

    model: str
    question: str
    method: str
    seed: int
    space: dict[str, tuple[Any, ...]]

    @property
    def better(self) -> int:
        """1: more is better; -1: less is."""
        name = PRIMARY[self.question]
        return next(column.better for column in COLUMNS[self.question] if column.name == name)

    @property
    def points(self) -> int:
        """Settings that the space holds."""
        return int(np.prod([len(values) for values in self.space.values()]))


def make_plan(model: str, question: str, method: str, seed: int) -> Plan:
    """Check what is asked. An empty question: the first that the model answers.

    Raises SearchError.
    """
    entry = MODELS.get(model)
    if entry is None:
        raise SearchError(f"no model is called {model}: there are {', '.join(MODELS)}")
    if not entry.space:
        raise SearchError(f"{model} has nothing to tune")
    question = question or entry.questions[0]
    if question not in entry.questions:
        raise SearchError(f"{model} does not answer {question}: {', '.join(entry.questions)}")
    return Plan(model, question, method, seed, dict(entry.space))


def claim(folder: Path, plan: Plan, settings: Mapping[str, Any]) -> list[Trial]:
    """Make the folder this search's; returns the trials that are done. Raises SearchError."""
    space = {name: list(values) for name, values in plan.space.items()}
    named = {
        "model": plan.model, "question": plan.question, "method": plan.method,
        "seed": plan.seed, "space": space, **settings,
    }  # fmt: skip
    place = folder / SEARCH
    if not place.exists():
        if folder.exists() and any(folder.iterdir()):
            raise SearchError(f"{folder} is not empty and holds no search: name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        place.write_bytes(msgspec.json.format(msgspec.json.encode(named), indent=1) + b"\n")
        return []
    try:
        held = msgspec.json.decode(place.read_bytes())
        lines = (folder / TRIALS).read_bytes().splitlines() if (folder / TRIALS).exists() else []
        trials = [msgspec.json.decode(line, type=Trial) for line in lines]
    except msgspec.DecodeError as error:
        raise SearchError(f"{folder}: {error}") from error
    other = sorted(name for name in named.keys() | held.keys() if named.get(name) != held.get(name))
    if other:
        raise SearchError(f"{folder} holds a search of another {', '.join(other)}")
    return trials


def search(
    folder: Path,
    plan: Plan,
    learning: Learning,
    settings: Settings,
    trials: list[Trial],
    goes_on: Callable[[int], bool],
    say: Say,
) -> list[Trial]:
    """Add trials while `goes_on(trials so far)`, each kept at once. Returns all.

    Raises SearchError where the question says nothing on these rows.
    """
    if plan.question in learning.left_out:
        raise SearchError(f"{plan.question}: {learning.left_out[plan.question]}")
    trials = list(trials)
    with (folder / TRIALS).open("ab") as file:
        while len(trials) < plan.points and goes_on(len(trials)):
            options = propose(plan, trials)
            began = time.perf_counter()
            value = evaluate(plan, options, learning, settings, say)
            trial = Trial(len(trials), options, value, time.perf_counter() - began)
            file.write(msgspec.json.encode(trial) + b"\n")
            file.flush()
            trials.append(trial)
            say(f"trial {trial.number}: {PRIMARY[plan.question]} {value:.4f} with {options}")
    return trials


def evaluate(
    plan: Plan, options: Options, learning: Learning, settings: Settings, say: Say
) -> float:
    """Fit on train, ask on validation."""
    model = make(plan.model, **options)
    model.fit(learning.train, learning.validation, plan.seed, say)
    asked = learning.asked[plan.question]
    return primary_value(asked, answer(model, asked, settings.churn))


def propose(plan: Plan, trials: list[Trial]) -> Options:
    """Options of the next trial: never those of a trial before."""
    done = [trial.options for trial in trials]
    every = [
        dict(zip(plan.space, values, strict=True))
        for values in itertools.product(*plan.space.values())
    ]
    if plan.method == "bayes":
        proposed = _bayes(plan, trials)
        if proposed not in done:
            return proposed
    left = [options for options in every if options not in done]
    if plan.method == "grid":
        return left[0]
    rng = np.random.default_rng((plan.seed, len(trials)))
    return left[int(rng.integers(len(left)))]


def best(plan: Plan, trials: list[Trial]) -> Trial:
    """Give the best trial; of equal ones the first. Raises SearchError where there is none."""
    if not trials:
        raise SearchError("no trial was made: give more minutes")
    return max(trials, key=lambda trial: (plan.better * trial.value, -trial.number))


def importance(plan: Plan, trials: list[Trial]) -> dict[str, float]:
    """Share of the values' variance that each option explains (fANOVA, Hutter et al., 2014).

    Empty where there are too few trials to say, or all gave one value.
    """
    if len(trials) < 2 * len(plan.space) or len({trial.value for trial in trials}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=plan.seed)
    held = optuna.importance.get_param_importances(_study(plan, trials), evaluator=evaluator)
    return {name: float(share) for name, share in held.items()}


def _bayes(plan: Plan, trials: list[Trial]) -> Options:
    study = _study(plan, trials)
    trial = study.ask(_distributions(plan))
    return {name: values[trial.params[name]] for name, values in plan.space.items()}


def _study(plan: Plan, trials: list[Trial]) -> optuna.Study:
    """Give the trials so far to a study in memory: the file is what lasts."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=FIRST_BY_CHANCE, seed=1_000 * plan.seed + len(trials)
    )
    study = optuna.create_study(
        sampler=sampler, direction="maximize" if plan.better > 0 else "minimize"
    )
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                params={
                    name: values.index(trial.options[name]) for name, values in plan.space.items()
                },
                distributions=_distributions(plan),
                value=trial.value,
            )
        )
    return study


def _distributions(plan: Plan) -> dict[str, Any]:
    """Options by their place: the values stand in order, and neighbours resemble each other."""
    return {
        name: optuna.distributions.IntDistribution(0, len(values) - 1)
        for name, values in plan.space.items()
    }
