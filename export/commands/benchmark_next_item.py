"""`python -m export benchmark next-item`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from export.commands.options import FILE, FOLDER
from stream.commands.options import Number

if TYPE_CHECKING:
    from export.benchmarks.next_item_report import Results


@click.command()
@click.option("--train", required=True, type=FILE, help="A session of item ids a line; .gz too.")
@click.option("--test", type=FILE, help="Prefix TAB target a line; .gz too.")
@click.option("--out", required=True, type=FOLDER, help="Folder; one that holds a run goes on.")
@click.option(
    "--kind",
    type=click.Choice(["lstm", "gru", "rnn"]),
    default="lstm",
    show_default=True,
    help="Recurrent core.",
)
@click.option(
    "--width",
    type=click.IntRange(1, 1024),
    default=128,
    show_default=True,
    help="Of the core and of the item table.",
)
@click.option("--layers", type=click.IntRange(1, 8), default=1, show_default=True, help="Of it.")
@click.option(
    "--epochs", type=click.IntRange(1), default=9, show_default=True, help="Passes over the data."
)
@click.option(
    "--held-out",
    type=Number(0, 1, min_open=True, max_open=True),
    help="In place of --test: share of the sessions, the last ones, to choose options by.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all chance.")
def command(
    train: Path,
    test: Path | None,
    out: Path,
    kind: str,
    width: int,
    layers: int,
    epochs: int,
    held_out: float | None,
    seed: int,
) -> None:
    """Train on sessions, export, and rank the item that follows each test prefix, as served.

    Ends in a line P@20=.. MRR@20=.. seconds=.. (percent); OUT holds report.md and the bundle.
    Stopped runs go on where their last epoch ended. With --held-out the line tells of the sessions
    held out; no test is asked and no bundle written.

    Example: python -m export benchmark next-item --train sessions.gz --test prefixes.gz --out run
    """
    import shlex
    import sys

    from export.benchmarks.next_item import CHECKPOINT, Run, choose_next_item, run_next_item
    from export.commands.progress import Bars
    from export.dataset.sessions import FormError
    from export.training.checkpoint import CheckpointError
    from export.training.next_item import NextItemRecipe

    if (test is None) == (held_out is None):
        raise click.UsageError("give one of --test and --held-out")
    if out.exists() and any(out.iterdir()) and not (out / CHECKPOINT).exists():
        raise click.UsageError(f"{out} is not empty and holds no run of this benchmark.")
    recipe = NextItemRecipe(
        kind=kind, width=width, layers=layers, epochs=epochs, held_out=held_out or 0.0, seed=seed
    )
    typed = shlex.join(["python", "-m", "export", *sys.argv[1:]])
    with Bars() as bars:
        run = Run(train, test, out, recipe, typed)
        try:
            if test is None:
                found, seconds = choose_next_item(run, bars.say, bars.begin)
            else:
                results = run_next_item(run, bars.say, bars.begin)
                found, seconds = results.headline, results.seconds
        except (FormError, CheckpointError) as error:
            raise click.ClickException(str(error)) from error
    if test is not None:
        _say_more(results, out)
    click.echo(f"P@20={found.precision:.2f} MRR@20={found.reciprocal:.2f} seconds={seconds:.0f}")


def _say_more(results: "Results", out: Path) -> None:
    for one in results.served:
        click.echo(
            f"L={one.refresh_steps}: P@20={one.every.precision:.2f} "
            f"MRR@20={one.every.reciprocal:.2f}; {one.longer.rows} prefixes longer than 2 L: "
            f"P@20={one.longer.precision:.2f} MRR@20={one.longer.reciprocal:.2f}"
        )
    for name, found in results.baselines.items():
        click.echo(f"{name}: P@20={found.precision:.2f} MRR@20={found.reciprocal:.2f}")
    click.echo(f"training: {results.training_seconds:.0f} s; report: {out / 'report.md'}")
