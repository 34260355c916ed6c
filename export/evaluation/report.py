"""The report of a comparison: from studies to blocks and pictures.

Rules of the room: it needs no explanation from anyone. First what to choose and how sure one can
be, then the terms, then the tables; facts of the data and the way of working come last.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from export.evaluation import classes, plots, probabilities
from export.evaluation.comparison import Answered, by_length
from export.evaluation.document import Block, Heading, Items, Paragraph, Picture, Table
from export.evaluation.questions import COLUMNS, NAMES
from export.evaluation.study import Study
from export.evaluation.wording import (
    ASKS,
    conclusion,
    legend,
    number,
    primary,
    size,
    verdict,
    with_interval,
)
from export.models.contract import HAZARD, NEXT_ACTION, NEXT_ITEM, PURCHASE
from export.models.registry import MODELS
from stream.core.config import DAY_MS
from stream.core.layout import EVENT_TYPES

PICTURES: Final = "pictures"


def report_blocks(folder: Path, studies: list[Study], command: str) -> list[Block]:
    """Draw the pictures into `folder` and lay the report out. The first study is the main one."""
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    first = studies[0]
    asked = [answered for study in studies for answered in study.answered]
    blocks: list[Block] = [Heading("Which model to choose", 1)]
    blocks.append(Paragraph(_lead(studies), lead=True))
    for study in studies:
        blocks += [
            Paragraph(conclusion(made, study.abouts, synthetic=study.dataset.manifest.synthetic))
            for made in study.answered
        ]
    blocks += _left_out(studies)
    blocks += [Heading("How to read this"), Items(tuple(legend(_names(asked))))]
    blocks += [Heading("Every algorithm at a glance"), _glance(studies)]
    for study in studies:
        for made in study.answered:
            blocks += _question(folder, study, made)
    blocks += _curves(folder, studies)
    blocks += [Heading("The data")]
    for study in studies:
        blocks += _data(study)
    blocks += _way(first, command)
    return blocks


def _lead(studies: list[Study]) -> str:
    first = studies[0]
    users = len({int(u) for made in first.answered for u in np.unique(made.asked.user)})
    models = len({name for study in studies for name in study.abouts})
    what = "**simulated** (synthetic) " if first.dataset.manifest.synthetic else ""
    return (
        f"{models} algorithms were trained on the same {what}events and asked the same questions "
        f"about the days that follow, of {users} users. For each question the model that did best "
        "on the validation days was chosen and then measured on test days that nothing had been "
        "fitted on. A difference is called real where its interval over users leaves out 0, and "
        "noise otherwise. One training run each: what another seed would change is not in it."
    )


def _left_out(studies: list[Study]) -> list[Block]:
    out: list[Block] = []
    for study in studies:
        for question, reason in study.opened.left_out.items():
            elsewhere = any(
                made.question == question for other in studies for made in other.answered
            )
            said = f"**{NAMES[question]} is not asked of {_named(study)}:** {reason}."
            if elsewhere:
                said += " The answers given here are from other data, named with them."
            out.append(Paragraph(said))
    return out


def _named(study: Study) -> str:
    held = "simulated data (synthetic)" if study.dataset.manifest.synthetic else "these data"
    return f"{held}"


def _names(asked: list[Answered]) -> list[str]:
    return list(dict.fromkeys(made.question for made in asked))


def _glance(studies: list[Study]) -> Table:
    asked = [(study, made) for study in studies for made in study.answered]
    heads = ["model", "family", "what it is", "train s", "size"]
    for study, made in asked:
        where = ", synthetic" if study.dataset.manifest.synthetic else ""
        heads.append(f"{NAMES[made.question]}{where}: {primary(made.question).name}")
    abouts = {name: about for study in reversed(studies) for name, about in study.abouts.items()}
    rows = []
    for name in (name for name in MODELS if name in abouts):
        about = abouts[name]
        row = [name, about.family, MODELS[name].about, f"{about.seconds:.1f}"]
        row.append(size(about.size_bytes))
        for _, made in asked:
            found = next((row for row in made.rows if row.model == name), None)
            column = primary(made.question)
            row.append("-" if found is None else with_interval(found.values[column.name], column))
        rows.append(tuple(row))
    return Table(tuple(heads), tuple(rows), frozenset({2}))


def _question(folder: Path, study: Study, made: Answered) -> list[Block]:
    question = made.question
    synthetic = " (synthetic data)" if study.dataset.manifest.synthetic else ""
    blocks: list[Block] = [Heading(f"{NAMES[question]}{synthetic}")]
    blocks.append(Paragraph(f"{ASKS[question]} {_facts(study, made)}"))
    blocks.append(_values(study, made))
    blocks.append(
        Paragraph(
            f"Differences from `{made.reference}`, the baseline that this question is judged "
            "beside, on the same draws of users:"
        )
    )
    blocks.append(_differences(made))
    file = f"{PICTURES}/{question}-models.svg"
    plots.ladder(folder / file, made)
    caption = "Every model with its interval; red: chosen, grey: the reference"
    blocks.append(Picture(file, f"{NAMES[question]}: {caption}"))
    blocks += _lengths(folder, study, made)
    if question == NEXT_ACTION:
        blocks += _confusion(folder, study, made)
    elif question in {PURCHASE, HAZARD}:
        blocks += _yes_or_no(folder, study, made)
    return blocks


def _facts(study: Study, made: Answered) -> str:
    asked = made.asked
    said = f"Asked at {len(asked.truth):,} rows of {len(np.unique(asked.user)):,} users."
    if made.question == NEXT_ITEM:
        return f"{said} {study.opened.splits.vocabulary.items_count:,} items are ranked."
    share = np.bincount(asked.truth, minlength=2) / len(asked.truth)
    if made.question == NEXT_ACTION:
        named = zip(EVENT_TYPES, np.bincount(asked.truth, minlength=3), strict=True)
        return f"{said} What came: {', '.join(f'{name} {count:,}' for name, count in named)}."
    if made.question == PURCHASE:
        days = study.opened.splits.purchase_horizon_ms / DAY_MS
        return f"{said} Horizon {days:g} days; {100 * share[1]:.1f} % are yes."
    settings = study.settings
    return (
        f"{said} Silent for {settings.silence_ms / DAY_MS:g} days when asked, horizon "
        f"{settings.horizon_ms / DAY_MS:g} days; {100 * share[1]:.1f} % stay silent."
    )


def _values(study: Study, made: Answered) -> Table:
    columns = COLUMNS[made.question]
    heads = ("model", *(column.name for column in columns), "train s", "size", "us a row")
    rows = []
    for row in made.rows:
        about = study.abouts[row.model]
        name = f"**{row.model}** (chosen)" if row.model == made.chosen else row.model
        cells = [with_interval(row.values[column.name], column) for column in columns]
        cost = f"{about.row_us[made.question]:,.1f}"
        rows.append((name, *cells, f"{about.seconds:.1f}", size(about.size_bytes), cost))
    return Table(heads, tuple(rows))


def _differences(made: Answered) -> Table:
    columns = COLUMNS[made.question]
    rows = []
    for row in made.rows:
        if row.model == made.reference:
            continue
        cells = []
        for column in columns:
            cell = row.differences[column.name]
            cells.append(f"{with_interval(cell, column, sign=True)} {verdict(cell, column)}")
        rows.append((row.model, *cells))
    return Table(("model", *(column.name for column in columns)), tuple(rows))


def _shown(made: Answered) -> list[str]:
    """Models that are drawn: the best on validation, and the reference."""
    best = [row.model for row in made.rows if row.model != made.reference]
    return [*best[: plots.LINES_MAX - 1], made.reference]


def _lengths(folder: Path, study: Study, made: Answered) -> list[Block]:
    column = primary(made.question)
    lengths = by_length(made.asked, study.kept[made.question])
    shown = _shown(made)
    file = f"{PICTURES}/{made.question}-lengths.svg"
    scale, label = (100.0, f"{column.name}, %") if column.percent else (1.0, column.name)
    plots.by_length(folder / file, lengths, shown, label, scale)
    rows = []
    for length in lengths:
        name = f"{length.first} to {length.last}" if length.last else f"{length.first} or more"
        values = [number(length.values[model], column) for model in shown]
        rows.append((name, f"{length.rows:,}", *values))
    heads = ("steps of the user so far", "rows", *shown)
    return [
        Heading(f"{NAMES[made.question]} by length of the user's history", 3),
        Paragraph(f"{label}: rows of users with so many steps until then. No intervals here."),
        Table(heads, tuple(rows)),
        Picture(file, f"{NAMES[made.question]}: {label} by length of the history"),
    ]


def _confusion(folder: Path, study: Study, made: Answered) -> list[Block]:
    learned = [row.model for row in made.rows if MODELS[row.model].family != "baseline"]
    models = list(dict.fromkeys([made.chosen, *learned[:1], made.reference]))
    kept, truth, count = study.kept[made.question], made.asked.truth, len(EVENT_TYPES)
    counted = {
        model: classes.confusion(truth, kept[model].argmax(axis=1), count) for model in models
    }
    rows = []
    for model, cells in counted.items():
        each = classes.per_class(cells)
        for index, name in enumerate(EVENT_TYPES):
            rows.append((
                f"{model}: {name}", f"{each.support[index]:,.0f}",
                *(f"{100 * part[index]:.1f}" for part in each[:3]),
            ))  # fmt: skip
    file = f"{PICTURES}/{made.question}-confusion.svg"
    plots.confusions(folder / file, counted, EVENT_TYPES)
    return [
        Heading("Next action by class", 3),
        Paragraph(
            "A rare action is seldom the most probable one, so a good model may never answer it; "
            "its probability is what counts (log-loss, ROC AUC)."
        ),
        Table(("model: action", "rows", "precision, %", "recall, %", "F1, %"), tuple(rows)),
        Picture(file, "Confusion matrices: row came, column answered, share of the row"),
    ]


def _yes_or_no(folder: Path, study: Study, made: Answered) -> list[Block]:
    kept, truth = study.kept[made.question], made.asked.truth == 1
    shown = _shown(made)
    bins = {model: probabilities.reliability(kept[model], truth) for model in shown}
    roc = {model: probabilities.roc_curve(kept[model], truth) for model in shown}
    pr = {model: probabilities.pr_curve(kept[model], truth) for model in shown}
    name = NAMES[made.question]
    held = f"{PICTURES}/{made.question}-calibration.svg"
    drawn = f"{PICTURES}/{made.question}-roc.svg"
    plots.calibration(folder / held, bins)
    plots.curves(folder / drawn, roc, pr, float(truth.mean()))
    return [
        Heading(f"{name}: calibration, ROC and precision-recall curves", 3),
        Picture(held, f"{name}: calibration; on the dotted line a probability means what it says"),
        Picture(drawn, f"{name}: left ROC, right precision and recall; dotted: luck"),
    ]


def _curves(folder: Path, studies: list[Study]) -> list[Block]:
    out: list[Block] = []
    for study in studies:
        held = {
            name: list(zip(about.curve.train, about.curve.validation, strict=True))
            for name, about in study.abouts.items()
            if about.curve is not None
        }
        if not held:
            continue
        file = f"{PICTURES}/learning-{len(out)}.svg"
        plots.learning_curves(folder / file, held)
        caption = f"Learning curves on {_named(study)}: loss by epoch; training ends early where"
        out.append(Picture(file, f"{caption} validation no longer improves"))
    return [Heading("Learning curves"), *out] if out else []


def _data(study: Study) -> list[Block]:
    manifest, splits = study.dataset.manifest, study.opened.splits
    rows = []
    for split in splits.each():
        since_ms, end_ms = study.dataset.cuts.span_ms(split.name)
        first_ms = int(split.recorded.rows["as_of_ms"].min())
        users = len(np.unique(split.data.user))
        known = split.data.item > 0
        given = split.recorded.item > 0
        rows.append((
            split.name, _time(max(since_ms, first_ms)), _time(end_ms), f"{len(split.data.user):,}",
            f"{users:,}", f"{len(split.data.user) / users:.1f}",
            f"{100 * (~known & given).sum() / max(given.sum(), 1):.1f}",
        ))  # fmt: skip
    kind = "Real events. "
    if manifest.synthetic:
        kind = "Simulated (synthetic): it says nothing about a real shop. "
    heads = ("split", "from (UTC)", "to (UTC)", "rows", "users", "rows a user", "unknown items, %")
    return [
        Paragraph(
            f"{kind}Items are {manifest.items_from} ids, "
            f"{splits.vocabulary.items_count:,} of them known from train. L = "
            f"{study.settings.refresh_steps}, window {splits.config.window_steps} steps. "
            f"Made by `{manifest.command}`."
        ),
        Table(heads, tuple(rows)),
    ]


_WAY: Final = (
    "Split by time: train, then validation, then test; no window crosses a cut, and labels see "
    "nothing past their split's end. Rows whose answer is not seen are not asked.\n"
    "Vocabulary, scales and weights are of train; calibration and early stopping of validation; "
    "this report's values of test.\n"
    "Ties in a ranking share the middle of their ranks. Calibration errors are of "
    f"{probabilities.BINS} bins of equally many rows."
)


def _way(study: Study, command: str) -> list[Block]:
    more = (
        f"Seed {study.settings.seed}; one process and one thread a model, beside others.",
        f"Again: `{command}`. A model that is there already is not trained again.",
    )
    return [Heading("How it was done"), Items((*_WAY.split("\n"), *more))]


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
