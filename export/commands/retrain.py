"""`python -m export retrain`."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from export.commands.options import FOLDER
from export.commands.sources import Asked, command_line, read_source, with_source
from stream.commands.options import Number


@click.command()
@click.option("--live", required=True, type=FOLDER, help="Bundle that serves now.")
@click.option("--out", required=True, type=FOLDER, help="Folder to write; must not be there yet.")
@click.option(
    "--promote",
    is_flag=True,
    help="If every gate is passed, let the candidate serve (`forecart model activate`).",
)
@click.option(
    "--shadow",
    is_flag=True,
    help="If every gate is passed, score it beside the live one first (`forecart model shadow`).",
)
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="NAME=MARGIN|off",
    help="How much worse is not worse, e.g. p_at_10=0.01, score_us=2, silence_auc=off.",
)
@click.option(
    "--history-days",
    default=28.0,
    show_default=True,
    type=Number(0),
    help="Days before the end of the live bundle's data that are learned from too.",
)
@click.option(
    "--compare-share",
    default=0.15,
    show_default=True,
    type=Number(0, 1, min_open=True, max_open=True),
    help="Share of the events, the newest, on which both are compared.",
)
@click.option(
    "--events-min",
    default=1000,
    show_default=True,
    type=click.IntRange(1),
    help="Events since the live bundle's data that are worth a round.",
)
@click.option("--kind", default="lstm", show_default=True, help="Recurrent cell: lstm, gru or rnn.")
@click.option("--width", default=50, show_default=True, type=click.IntRange(1), help="Units.")
@click.option("--layers", default=2, show_default=True, type=click.IntRange(1), help="Layers.")
@click.option("--epochs", default=12, show_default=True, type=click.IntRange(1), help="At most.")
@click.option(
    "--items-max",
    default=20_000,
    show_default=True,
    type=click.IntRange(1),
    help="Items known by name, the most frequent.",
)
@click.option("--seed", default=1, show_default=True, help="Of everything drawn by chance.")
@click.option("--name", default="shop", show_default=True, help="First part of the version.")
@with_source
def command(
    asked: Asked,
    live: Path,
    out: Path,
    promote: bool,
    shadow: bool,
    gates: tuple[str, ...],
    history_days: float,
    compare_share: float,
    events_min: int,
    kind: str,
    width: int,
    layers: int,
    epochs: int,
    items_max: int,
    seed: int,
    name: str,
) -> None:
    """Train a candidate on the newest data and hold it against the live bundle (needs torch).

    Topics are read as served. Both bundles are run over the newest days; gates say whether the
    candidate may serve; the report says why. Without --shadow and --promote nothing is changed.

    Example: python -m export retrain --broker localhost:9092 --live models/live --out /tmp/round
    """
    from export.bundles.dataset_bundle import Order
    from export.commands.progress import Bars
    from export.dataset.build import Wishes
    from export.models import CORES
    from export.retrain.gates import chosen
    from export.retrain.retrain import REPORT, Round, retrain
    from export.training.train import Recipe
    from stream.core.config import EngineConfig
    from stream.model.bundle import load_bundle

    if promote and shadow:
        raise click.UsageError("give one of --shadow and --promote")
    if out.exists():
        raise click.ClickException(f"{out} is there already: name a folder that is not")
    if kind not in CORES:
        raise click.ClickException(f"no recurrent cell {kind}; there are {', '.join(CORES)}")
    try:
        bundle = load_bundle(live, asked.settings.window_steps)
        rules = chosen(gates)
        recipe = Recipe(
            kind=kind, hidden=width, layers=layers, epochs=epochs, patience=2, seed=seed
        )
        order = Order(name, bundle.refresh_steps, items_max, 1, recipe, command_line())
        wishes = Wishes(
            test_share=compare_share,
            salt=asked.salt(),
            engine=asked.settings.engine(1, EngineConfig().hazard_edges_ms),
        )
        log, names, origin = read_source(asked.served_if_topics())
        this = Round(order, wishes, history_days, events_min, rules)
        with Bars() as bars:
            outcome = retrain(
                out, bundle, log, names, origin, this, bars.say, bars.ticker("training")
            )
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    candidate = outcome.candidate
    asked_for = [verdict.passed for verdict in outcome.verdicts if verdict.passed is not None]
    click.echo(f"report: {out / REPORT}")
    click.echo(
        f"decision={'promote' if outcome.passed else 'keep'} live={bundle.version}"
        f" candidate={candidate.version} gates={sum(asked_for)}/{len(asked_for)}"
    )
    _act(asked, candidate.folder, promote=promote, shadow=shadow, passed=outcome.passed)


def _act(asked: Asked, folder: Path, *, promote: bool, shadow: bool, passed: bool) -> None:
    """Do what was asked for with a candidate that passed; say how otherwise."""
    from stream.commands.model import activate
    from stream.commands.model import shadow as beside

    if not passed:
        click.echo("kept: nothing was changed")
    elif promote or shadow:
        # The commands as they are, with the settings of this one in place of their options.
        if promote:
            _plain(activate)(str(folder), settings=asked.settings)
        else:
            _plain(beside)(str(folder), off=False, settings=asked.settings)
    else:
        click.echo(f"to score it beside the live one: forecart model shadow {folder}")
        click.echo(f"to let it serve: forecart model activate {folder}")


def _plain(command: click.Command) -> Callable[..., Any]:
    """Give a command's function without what reads its options."""
    if command.callback is None:
        raise TypeError(f"{command.name} is a group")
    plain: Callable[..., Any] = inspect.unwrap(command.callback)
    return plain
