"""`python -m export tune lengths`."""

import os
from pathlib import Path

import click

from export.commands.options import FOLDER
from export.commands.tune import tuning_settings


@click.command()
@click.option("--dataset", "folder", required=True, type=FOLDER, help="Of `export dataset`.")
@click.option("--out", required=True, type=FOLDER, help="Folder of the report and its models.")
@click.option("--model", default="lstm", show_default=True, help="As `compare --models-list`.")
@click.option("--lengths", default="2,4,8,16,32", show_default=True, help="L, comma-separated.")
@click.option("--seed", default=1, show_default=True, help="Of training and of the intervals.")
@click.option(
    "--jobs",
    default=os.cpu_count() or 1,
    show_default="one a core",
    type=click.IntRange(1),
    help="Trained beside each other.",
)
def command(folder: Path, out: Path, model: str, lengths: str, seed: int, jobs: int) -> None:
    """Train a model at several L and say which to take, on validation alone.

    Interrupted, the same command goes on with what is missing.

    Example: python -m export tune lengths --dataset /tmp/taobao --out /tmp/lengths
    """
    from export.commands.sources import command_line
    from export.dataset.folder import DatasetError, load_dataset
    from export.evaluation.board import Board
    from export.evaluation.document import write
    from export.evaluation.pool import JobsError, run_jobs
    from export.evaluation.study import StudyError
    from export.models.contract import HAZARD, QUESTIONS
    from export.models.registry import MODELS
    from export.tuning.lengths import length_jobs, read_lengths
    from export.tuning.pages import length_blocks

    try:
        wanted = sorted({int(word) for word in lengths.split(",")})
    except ValueError as error:
        raise click.UsageError(f"--lengths {lengths}: numbers with commas between") from error
    if wanted[0] < 1:
        raise click.UsageError(f"--lengths {lengths}: an L is at least 1")
    if model not in MODELS:
        raise click.UsageError(f"no model is called {model}: there are {', '.join(MODELS)}")
    questions = tuple(name for name in QUESTIONS if name != HAZARD)
    settings = tuning_settings(wanted[-1], seed, questions)
    try:
        dataset = load_dataset(folder)
        missing = length_jobs(out, dataset, settings, model, wanted)
        with Board(len(missing)) as board:
            run_jobs(missing, jobs, board)
        curve = read_lengths(out, dataset, settings, model, wanted)
    except (DatasetError, StudyError, JobsError) as error:
        raise click.ClickException(str(error)) from error
    markdown, page = write(out, length_blocks(out, curve, command_line()))
    click.echo(f"written: {markdown} and {page}; take L = {curve.chosen}")
