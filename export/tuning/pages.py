"""Reports of a search and of the lengths: blocks and pictures.

Rules of the room: as in evaluation/report.py: what to take and how sure one can be comes first.
"""

from pathlib import Path
from typing import Final

from export.evaluation import plots
from export.evaluation.document import Block, Heading, Items, Paragraph, Picture, Table
from export.evaluation.questions import COLUMNS, NAMES, PRIMARY
from export.evaluation.wording import legend, number, primary, verdict, with_interval
from export.tuning.lengths import LengthCurve, name_of
from export.tuning.search import Plan, Trial, best, importance

PICTURE: Final = "lengths.svg"
TRAINED: Final = ("lstm", "gru", "rnn")  # what `export train` makes a bundle of
# Options of a recurrent model, and of `export train`.
_FLAGS: Final = {
    "hidden": "--width",
    "layers": "--layers",
    "dropout": "--dropout",
    "rate": "--rate",
    "batch_sequences": "--batch-sequences",
}


def train_command(plan: Plan, trial: Trial, dataset: str, refresh_steps: int) -> str:
    """Write the command that trains a bundle with a trial's options; "": there is none."""
    if plan.model not in TRAINED:
        return ""
    words = [f"python -m export train --dataset {dataset} --out BUNDLE --kind {plan.model}"]
    words.append(f"--refresh-steps {refresh_steps} --seed {plan.seed}")
    words += [f"{_FLAGS[name]} {value}" for name, value in trial.options.items()]
    return " ".join(words)


def search_blocks(plan: Plan, trials: list[Trial], train: str, again: str) -> list[Block]:
    """Lay a search out. There must be a trial."""
    column, top = primary(plan.question), best(plan, trials)
    better = "more is better" if column.better > 0 else "less is better"
    share = importance(plan, trials)
    blocks: list[Block] = [Heading(f"Settings of {plan.model}", 1)]
    blocks.append(
        Paragraph(
            f"Best of {len(trials)} of {plan.points} settings for "
            f"{NAMES[plan.question].lower()}: {_said(top)}, with {column.name} "
            f"{number(top.value, column)} on validation ({better}). It is the best of many on the "
            "same rows, so on other days expect a little less; `export compare` measures it on "
            "test. One training run a setting: neighbours in the table may differ by chance.",
            lead=True,
        )
    )
    if train:
        blocks.append(Paragraph(f"Train it: `{train}`"))
    blocks.append(Heading("What matters"))
    if share:
        rows = tuple((name, f"{100 * value:.0f} %") for name, value in share.items())
        blocks.append(
            Paragraph("Share of the differences between trials that an option explains (fANOVA):")
        )
        blocks.append(Table(("option", "share"), rows))
    else:
        blocks.append(Paragraph("Too few trials, or too like each other, to say."))
    ordered = sorted(trials, key=lambda trial: (-column.better * trial.value, trial.number))
    names = tuple(plan.space)
    table = tuple(
        (
            str(trial.number),
            number(trial.value, column),
            *(str(trial.options[name]) for name in names),
            f"{trial.seconds:.1f}",
        )
        for trial in ordered
    )
    blocks += [
        Heading("All trials, the best first"),
        Table(("trial", column.name, *names, "s"), table),
        Heading("How it was done"),
        Paragraph(
            f"Method {plan.method}, seed {plan.seed}; every trial fits on train and is asked on "
            f"validation; test is not read. Again, or further: `{again}`. Trials that are there "
            "are not done again."
        ),
    ]
    return blocks


def length_blocks(folder: Path, curve: LengthCurve, again: str) -> list[Block]:
    """Draw the picture into `folder` and lay the lengths out."""
    folder.mkdir(parents=True, exist_ok=True)
    blocks: list[Block] = [Heading("How long a sequence should be", 1)]
    blocks.append(Paragraph(_reason(curve), lead=True))
    heads = ["L", "steps a score sees", "bytes of a window", "train s"]
    rows = [
        [
            name_of(length),
            f"{length + 1} to {2 * length}",
            f"{curve.ring_bytes[length]:,}",
            f"{curve.abouts[length].seconds:.0f}",
        ]
        for length in curve.lengths
    ]
    panels = {}
    for made in curve.answered:
        column = primary(made.question)
        scale = 100.0 if column.percent else 1.0
        label = f"{NAMES[made.question]}: {column.name}"
        heads += [label, f"minus {made.chosen}"]
        cells = []
        for length, row in zip(curve.lengths, rows, strict=True):
            found = made.row(name_of(length))
            row.append(with_interval(found.values[column.name], column))
            apart = found.from_chosen
            row.append(f"{with_interval(apart, column, sign=True)} {verdict(apart, column)}")
            value, lower, upper = (scale * part for part in found.values[column.name])
            cells.append((value, lower, upper))
        panels[label] = cells
    plots.against(folder / PICTURE, curve.lengths, panels)
    blocks.append(Table(tuple(heads), tuple(tuple(row) for row in rows)))
    blocks.append(
        Picture(PICTURE, "Quality by L, with intervals over users; axis of L by doubling")
    )
    questions = [made.question for made in curve.answered]
    blocks += [Heading("How to read this"), Items(tuple(legend(questions)))]
    blocks += [
        Heading("How it was done"),
        Paragraph(
            f"{curve.model}, fitted on train and asked on validation, the same rows at every L; "
            f"test is not read. Again: `{again}`."
        ),
    ]
    return blocks


def _said(trial: Trial) -> str:
    return ", ".join(f"{name} {value}" for name, value in trial.options.items())


def _reason(curve: LengthCurve) -> str:
    name = name_of(curve.chosen)
    parts = []
    for made in curve.answered:
        column = next(c for c in COLUMNS[made.question] if c.name == PRIMARY[made.question])
        cell = made.row(name).from_chosen
        if name == made.chosen:
            parts.append(f"{NAMES[made.question].lower()}: it is the best")
        else:
            how = with_interval(cell, column, sign=True)
            found = verdict(cell, column)
            parts.append(f"{NAMES[made.question].lower()}: {how} from {made.chosen}, {found}")
    return (
        f"**Take {name}**: the smallest that is best, or within noise of the best, on the most "
        f"questions ({'; '.join(parts)}). A window of it takes {curve.ring_bytes[curve.chosen]:,} "
        f"bytes of state a user, and each event about two steps of the model, whatever L is."
    )
