"""`python -m export tune`: a search of settings; `tune lengths` beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from export.commands.options import FOLDER
from stream.commands.options import Number
from stream.lazy_group import LazyGroup

if TYPE_CHECKING:
    from export.evaluation.runs import Settings

TUNE: Final = {
    "lengths": "Quality at several lengths of a sequence, and which to take.",
    "features": "Which features matter for next action and purchase.",
}


@click.group(
    cls=LazyGroup,
    package="export.commands",
    names=TUNE,
    prefix="tune_",
    invoke_without_command=True,
)
@click.option("--dataset", "folder", type=FOLDER, help="Of `export dataset`.")
@click.option("--out", type=FOLDER, help="Folder of the search and its report.")
@click.option("--model", default="lstm", show_default=True, help="As `compare --models-list`.")
@click.option("--question", default="", help="Judged by; default: the model's first.")
@click.option(
    "--method",
    type=click.Choice(["grid", "random", "bayes"]),
    default="bayes",
    show_default=True,
    help="Every point in order, by chance, or where it looks best so far.",
)
@click.option("--budget", type=click.IntRange(1), help="Trials in all.")
@click.option("--minutes", type=Number(0, min_open=True), help="No trial begins later.")
@click.option("--refresh-steps", default=16, show_default=True, type=click.IntRange(1), help="L.")
@click.option("--seed", default=1, show_default=True, help="Of the search and of training.")
@click.pass_context
def command(
    context: click.Context,
    folder: Path | None,
    out: Path | None,
    model: str,
    question: str,
    method: str,
    budget: int | None,
    minutes: float | None,
    refresh_steps: int,
    seed: int,
) -> None:
    """Search for the best settings of a model, on validation alone.

    Ends at the first of budget, minutes and the space's end. The same command goes on with what is
    there. Prints the command that trains with the best.

    Example: python -m export tune --dataset /tmp/shop --out /tmp/tuned --budget 20
    """
    if context.invoked_subcommand is not None:
        return
    if folder is None or out is None:
        raise click.UsageError("--dataset and --out are needed")
    if budget is None and minutes is None:
        raise click.UsageError("give --budget, --minutes, or both")
    import time

    from export.commands.progress import Bars
    from export.commands.sources import command_line
    from export.dataset.folder import DatasetError, load_dataset
    from export.evaluation.document import write
    from export.tuning.learning import learning_of
    from export.tuning.pages import search_blocks, train_command
    from export.tuning.search import SearchError, best, claim, make_plan, search

    end = time.monotonic() + 60 * (minutes or float("inf"))
    try:
        plan = make_plan(model, question, method, seed)
        dataset = load_dataset(folder)
        settings = tuning_settings(refresh_steps, seed, (plan.question,))
        trials = claim(out, plan, settings.named(dataset))
        learning = learning_of(dataset, settings)
        count = min(budget or plan.points, plan.points)
        with Bars() as bars:
            tick = bars.ticker("trials")

            def goes_on(done: int) -> bool:
                tick(done, count)
                return done < count and time.monotonic() < end

            trials = search(out, plan, learning, settings, trials, goes_on, bars.say)
        top = best(plan, trials)
    except (DatasetError, SearchError) as error:
        raise click.ClickException(str(error)) from error
    train = train_command(plan, top, str(folder), refresh_steps)
    markdown, page = write(out, search_blocks(plan, trials, train, command_line()))
    click.echo(f"written: {markdown} and {page}")
    click.echo(train or f"best: {top.options}")


def tuning_settings(refresh_steps: int, seed: int, questions: tuple[str, ...]) -> "Settings":
    """Give settings under which nothing but validation is asked."""
    from export.evaluation.runs import Settings
    from stream.core.config import DAY_MS

    return Settings(refresh_steps, seed, DAY_MS, 7 * DAY_MS, questions, ("validation",))
