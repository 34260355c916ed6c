"""The next-item benchmark: sessions in, a bundle and its figures as served out.

Rules of the room: nothing of a data set is known here but its form. The test file is read before
training (so that a broken one is found early) and asked once, at the end, of the finished bundle;
where sessions are held out, to choose a recipe by, it is not read.
What is kept in the folder: checkpoint.pt after each epoch, bundle/, report.md, .html and .json.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from export.benchmarks.next_item_report import Results, as_json, write_report
from export.bundles.next_item_bundle import sizes_of, texts_of, write_next_item_bundle
from export.dataset.sessions import FormError, Prefixes, Sessions, read_prefixes, read_sessions
from export.evaluation.next_item import Figures, baselines, events_at, figures, served_at
from export.training.checkpoint import load_checkpoint, save_checkpoint
from export.training.next_item import NextItemRecipe, NextItemTrainer, ranks
from stream.model.bundle import Bundle, load_bundle
from stream.model.manifest import Training
from stream.model.vocabulary import Texts

CHECKPOINT: Final = "checkpoint.pt"
HELD_OUT_SESSIONS: Final = 2_500  # asked after each epoch: 30 s at most; all after the last

Say = Callable[[str], None]
# name, total -> what to call with the number of units done
Progress = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for."""

    train: Path
    test: Path | None  # None: sessions are held out
    out: Path
    recipe: NextItemRecipe
    command: str  # as it can be typed again


def run_next_item(run: Run, say: Say, progress: Progress) -> Results:
    """Train or go on training, export, ask, report. Raises FormError, CheckpointError."""
    began = time.monotonic()
    if run.test is None or run.recipe.held_out:
        raise ValueError("a run that asks the test holds no session out")
    sessions = read_sessions(run.train)
    prefixes = read_prefixes(run.test, sessions.item_ids)
    say(
        f"{len(sessions.sequences)} sessions of {len(sessions.item_ids)} items; "
        f"{len(prefixes.target)} prefixes, {int((prefixes.target == 0).sum())} of them followed by "
        f"an item unknown to training"
    )
    trainer, texts = _trainer(run, sessions)
    curve, earlier = _train(run, trainer, sessions, say, progress)
    network = trainer.averaged()
    training = _training(run, sessions)
    folder = run.out / "bundle"

    def write(metrics: dict[str, Any]) -> Bundle:
        steps = run.recipe.refresh_steps
        write_next_item_bundle(folder, network, texts, steps, training, metrics)
        return load_bundle(folder)

    bundle = write({})
    results = _ask(run, bundle, sessions, prefixes, curve, trainer.seconds, say, progress)
    results = results.timed(earlier + time.monotonic() - began)
    bundle = write(as_json(results))
    write_report(run.out, results, bundle, sessions, prefixes)
    return results


def choose_next_item(run: Run, say: Say, progress: Progress) -> tuple[Figures, float]:
    """Train without the held-out sessions: figures on them, seconds. No bundle, no test."""
    began = time.monotonic()
    sessions = read_sessions(run.train)
    trainer, _ = _trainer(run, sessions)
    if not len(trainer.held_out):
        raise FormError(f"{run.train}: too few sessions to hold {run.recipe.held_out} of them out")
    _, earlier = _train(run, trainer, sessions, say, progress)
    rank = ranks(trainer.averaged(), trainer.held_out, run.recipe.refresh_steps)
    return figures(rank), earlier + time.monotonic() - began


def _trainer(run: Run, sessions: Sessions) -> tuple[NextItemTrainer, Texts]:
    texts = texts_of(sessions)
    sizes = sizes_of(texts, run.recipe.width)
    return NextItemTrainer(run.recipe, sizes, sessions.sequences), texts


def _train(
    run: Run, trainer: NextItemTrainer, sessions: Sessions, say: Say, progress: Progress
) -> tuple[list[dict[str, float]], float]:
    """Return the learning curve, and the seconds that earlier starts took."""
    run.out.mkdir(parents=True, exist_ok=True)
    path = run.out / CHECKPOINT
    depends_on = {**asdict(run.recipe), "train": sessions.digest}
    curve: list[dict[str, float]] = []
    earlier = 0.0
    state = load_checkpoint(path, depends_on)
    if state is not None:
        trainer.restore(state["trainer"])
        curve, earlier = state["curve"], state["seconds"]
        say(f"going on after epoch {trainer.epochs_done} of {run.recipe.epochs}")
    began = time.monotonic()
    epochs = range(trainer.epochs_done, run.recipe.epochs)
    tick = progress("training", len(epochs) * trainer.epoch_batches)
    asked = trainer.held_out.part(0, min(HELD_OUT_SESSIONS, len(trainer.held_out)))
    for epoch in epochs:
        loss = trainer.run_epoch(tick)
        point = {"epoch": epoch + 1, "loss": loss, "seconds": trainer.seconds}
        said = f"epoch {epoch + 1}/{run.recipe.epochs}  loss {loss:.3f}  "
        if len(asked):
            found = figures(ranks(trainer.averaged(), asked, run.recipe.refresh_steps))
            point |= found.described()
            said += f"held out: P@20 {found.precision:.2f}  MRR@20 {found.reciprocal:.2f}  "
        curve.append(point)
        seconds = earlier + time.monotonic() - began
        state = {"trainer": trainer.state(), "curve": curve, "seconds": seconds}
        save_checkpoint(path, depends_on, state)
        say(f"{said}{trainer.seconds:.0f} s of training")
    return curve, earlier


def _ask(
    run: Run,
    bundle: Bundle,
    sessions: Sessions,
    prefixes: Prefixes,
    curve: list[dict[str, float]],
    training_seconds: float,
    say: Say,
    progress: Progress,
) -> Results:
    say("asking the bundle, as served")
    served = served_at(
        bundle, prefixes, run.recipe.seed, progress("serving", events_at(bundle, prefixes))
    )
    say("baselines")
    return Results(
        recipe=asdict(run.recipe),
        command=run.command,
        model=bundle.manifest.model,
        refresh_steps=bundle.refresh_steps,
        curve=curve,
        served=served,
        baselines=baselines(sessions.sequences, prefixes, len(sessions.item_ids)),
        training_seconds=training_seconds,
        seconds=0.0,
    )


def _training(run: Run, sessions: Sessions) -> Training:
    sequences = sessions.sequences
    return Training(
        synthetic=False,
        data=f"{run.train.name}, sha256 of its text {sessions.digest[:16]}",
        command=run.command,
        seed=run.recipe.seed,
        users=len(sequences),
        events=len(sequences.items),
        rows=len(sequences.items) - len(sequences),
    )
