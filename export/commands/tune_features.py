"""`python -m export tune features`."""

from pathlib import Path

import click

from export.commands.options import FOLDER
from export.commands.tune import tuning_settings


@click.command()
@click.option("--dataset", "folder", required=True, type=FOLDER, help="Of `export dataset`.")
@click.option("--out", required=True, type=FOLDER, help="Folder of the report.")
@click.option("--refresh-steps", default=16, show_default=True, type=click.IntRange(1), help="L.")
@click.option("--seed", default=1, show_default=True, help="Of the rows that are drawn.")
def command(folder: Path, out: Path, refresh_steps: int, seed: int) -> None:
    """Say which window features matter for next action and purchase, on validation alone.

    By correlation, information gain and recursive elimination.

    Example: python -m export tune features --dataset /tmp/taobao --out /tmp/features
    """
    from export.commands.progress import Bars
    from export.commands.sources import command_line
    from export.dataset.folder import DatasetError, load_dataset
    from export.evaluation.document import Block, Heading, Paragraph, write
    from export.evaluation.feature_selection import select_features, selection_blocks
    from export.models.contract import NEXT_ACTION, PURCHASE
    from export.tuning.learning import learning_of

    questions = (NEXT_ACTION, PURCHASE)
    try:
        settings = tuning_settings(refresh_steps, seed, questions)
        learning = learning_of(load_dataset(folder), settings)
        with Bars() as bars:
            found = [
                select_features(learning.train, learning.validation, question, seed, bars.say)
                for question in questions
                if question not in learning.left_out
            ]
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        raise click.ClickException(f"{folder}: {error}") from error
    if not found:
        why = "; ".join(f"{question}: {why}" for question, why in learning.left_out.items())
        raise click.ClickException(f"{folder}: nothing can be asked. {why}")
    blocks: list[Block] = [Heading("Which features matter", 1)]
    blocks += [block for selection in found for block in selection_blocks(selection)]
    said = [f"{question} is left out: {why}." for question, why in learning.left_out.items()]
    said.append(f"Fitted on train, judged on validation; test is not read. `{command_line()}`")
    out.mkdir(parents=True, exist_ok=True)
    markdown, page = write(out, [*blocks, Heading("How it was done"), *map(Paragraph, said)])
    click.echo(f"written: {markdown} and {page}")
