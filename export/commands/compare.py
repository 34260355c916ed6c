"""`python -m export compare`."""

import os
from pathlib import Path

import click

from export.commands.options import FOLDER
from stream.commands.options import Number


def _list_models(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from export.models.registry import MODELS

    for name, entry in MODELS.items():
        click.echo(f"{name:<20} {entry.family:<10} {', '.join(entry.questions):<42} {entry.about}")
    context.exit()


@click.command()
@click.option("--dataset", "folder", required=True, type=FOLDER, help="Of `export dataset`.")
@click.option("--out", required=True, type=FOLDER, help="Folder of the report and its models.")
@click.option("--only", default="", help="Names of models, comma-separated; default: all.")
@click.option(
    "--models-list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_models,
    help="Print the models and end.",
)
@click.option(
    "--churn-dataset",
    type=FOLDER,
    help="Another dataset to ask about churn, where the first says nothing of it.",
)
@click.option("--refresh-steps", default=16, show_default=True, type=click.IntRange(1), help="L.")
@click.option("--seed", default=1, show_default=True, help="Of training and of the intervals.")
@click.option(
    "--silence-hours",
    default=24.0,
    show_default=True,
    type=Number(0, min_open=True),
    help="Silence after which churn is asked.",
)
@click.option(
    "--churn-days",
    default=7.0,
    show_default=True,
    type=Number(0, min_open=True),
    help="Horizon of churn.",
)
@click.option(
    "--jobs",
    default=os.cpu_count() or 1,
    show_default="one a core",
    type=click.IntRange(1),
    help="Models trained beside each other.",
)
def command(
    folder: Path,
    out: Path,
    only: str,
    churn_dataset: Path | None,
    refresh_steps: int,
    seed: int,
    silence_hours: float,
    churn_days: float,
    jobs: int,
) -> None:
    """Train all models on one split, ask them the same questions, write one report.

    Interrupted, the same command goes on with what is missing. The report lies in OUT as
    report.md with its pictures, and as report.html in one file.

    Example: python -m export compare --dataset /tmp/taobao --out /tmp/compared
    """
    import time

    from export.commands.sources import command_line
    from export.dataset.folder import DatasetError, load_dataset
    from export.evaluation.board import Board
    from export.evaluation.document import write
    from export.evaluation.pool import JobsError, run_jobs
    from export.evaluation.report import report_blocks
    from export.evaluation.runs import Settings
    from export.evaluation.study import StudyError, chosen_models, claim, missing_jobs, read_study
    from export.models.contract import HAZARD, QUESTIONS
    from stream.core.config import DAY_MS, HOUR_MS

    began = time.monotonic()
    names = [name.strip() for name in only.split(",") if name.strip()]
    sources = {"models": (folder, tuple(QUESTIONS))} | (
        {"churn": (churn_dataset, (HAZARD,))} if churn_dataset else {}
    )
    try:
        plans = []
        for place, (source, questions) in sources.items():
            settings = Settings(
                refresh_steps,
                seed,
                int(silence_hours * HOUR_MS),
                int(churn_days * DAY_MS),
                questions,
            )
            dataset = load_dataset(source)
            claim(out / place, dataset, settings)
            plans.append((out / place, dataset, settings, chosen_models(settings, names)))
        missing = {
            f"{plan[0].name}/{name}": job
            for plan in plans
            for name, job in missing_jobs(*plan).items()
        }
        with Board(len(missing)) as board:
            run_jobs(missing, jobs, board)
        click.echo("comparing ...", err=True)
        blocks = report_blocks(out, [read_study(*plan) for plan in plans], command_line())
    except (DatasetError, StudyError, JobsError) as error:
        raise click.ClickException(str(error)) from error
    markdown, page = write(out, blocks)
    click.echo(f"written: {markdown} and {page}, after {time.monotonic() - began:.0f} s")
