"""`forecart explain PREDICTION_ID`: which events of the window made a prediction what it is."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from stream.commands.options import reader_of, with_settings
from stream.commands.terminal import harmless, moment, write_table
from stream.core.config import DAY_MS
from stream.core.layout import EVENT_TYPES
from stream.model.bundle import Bundle
from stream.model.manifest import BundleError
from stream.model.providers import open_graphs
from stream.served.bundles import bundle_of
from stream.served.find import Told, find_latest, find_prediction, past_of
from stream.served.leave_out import Effects, leave_one_out
from stream.served.log import Log, ServedError, names_of
from stream.served.window import Window, rebuild
from stream.served.words import step_words
from stream.settings import Settings
from stream.wire.decode import Decoder
from stream.wire.murmur2 import partition_of

BAR_CHARS: Final = 12
METHOD: Final = (
    "effect = score with the step less score without it, all else equal; effects do not add up to"
    " the score and are no causes"
)
QUESTIONS: Final = ("purchase", "churn", "item", "next")


@click.command()
@click.argument("prediction_id", required=False)
@click.option("--user", help="Explain the newest prediction of a user instead.")
@click.option(
    "--bundle",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of the model bundle that made the prediction.",
)
@click.option(
    "--steps", "steps_max", type=click.IntRange(1, 255), default=16, show_default=True,
    help="Leave out each of so many of the last steps.",
)  # fmt: skip
@click.option(
    "--by", type=click.Choice(QUESTIONS), default="purchase", show_default=True,
    help="Sort by the strength of the effect on this score.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def command(
    prediction_id: str | None,
    user: str | None,
    folder: Path | None,
    steps_max: int,
    by: str,
    as_json: bool,
    settings: Settings,
) -> None:
    """Show which events made a prediction what it is.

    Rebuilds the window from the topics as the worker saw it and scores it again without each of its
    last steps. Refuses a window that is not the one that was scored. Works with the worker stopped.

    Example: forecart explain clicks-2-1734
    """
    if prediction_id is None and user is None:
        raise click.UsageError("Give a PREDICTION_ID, or --user for the newest of a user's.")
    if prediction_id is not None and user is not None:
        raise click.UsageError("A PREDICTION_ID names its user: leave --user away.")
    try:
        with reader_of(settings) as log:
            told = _find(log, prediction_id, user, settings)
            bundle = bundle_of(told.note.model_version, folder, settings)
            window = _rebuild(log, told, bundle, settings)
        horizon_ms = int(settings.churn_horizon_days * DAY_MS)
        graphs = open_graphs(bundle, "cpu")
        effects = leave_one_out(window, bundle, graphs, steps_max, horizon_ms)
    except (ServedError, BundleError) as error:
        raise click.ClickException(str(error)) from error
    note = describe(window, bundle, effects, by)
    if as_json:
        click.echo(json.dumps(note))
    else:
        _write(note, by)


def _find(log: Log, prediction_id: str | None, user: str | None, settings: Settings) -> Told:
    names = names_of(settings.topic_prefix)
    if prediction_id is not None:
        repeats = settings.guarantee == "at_least_once"
        return find_prediction(log, names, prediction_id, repeats=repeats)
    key = (user or "").encode()
    partitions = len(log.ranges([names.predictions]))
    return find_latest(log, names, partition_of(key, partitions), key)


def _rebuild(log: Log, told: Told, bundle: Bundle, settings: Settings) -> Window:
    names = names_of(settings.topic_prefix)
    partitions = len(log.ranges([names.predictions]))
    decoder = Decoder(partitions, settings.event_bytes_max, settings.skew_ms_max)
    config = settings.engine(bundle.refresh_steps, bundle.hazard_edges_ms)
    return rebuild(log, names, past_of(log, names, told), config, decoder)


def describe(window: Window, bundle: Bundle, effects: Effects, by: str) -> dict[str, Any]:
    """Put scores and effects into words and numbers, the strongest step first."""
    note = window.told.note
    kind = int(effects.next_event[0].argmax())
    columns = {
        "purchase": effects.of(effects.purchase),
        "churn": effects.of(effects.churn),
        "item": effects.of(effects.item),
        "next": effects.of(effects.next_event[:, kind]),
    }
    steps = []
    for row, position in enumerate(effects.position.tolist()):
        words = step_words(window, position)
        steps.append({
            "back": len(window.plan.steps) - 1 - position,
            **asdict(words),
            "effects": {name: _number(column[row]) for name, column in columns.items()},
        })  # fmt: skip
    steps.sort(key=lambda step: -abs(step["effects"][by] or 0.0))
    return {
        "prediction_id": note.prediction_id,
        "user_id": note.user_id,
        "as_of": note.as_of,
        "emitted_at": note.emitted_at,
        "late": note.late,
        "model_version": note.model_version,
        "bundle": str(bundle.folder),
        "window_digest": note.input.window_digest,
        "window_length": note.input.window_length,
        "steps_scored": len(window.plan.steps),
        "scores": {
            "purchase": _number(effects.purchase[0]),
            "purchase_horizon": note.purchase_horizon,
            "churn": note.churn_probability,
            "churn_horizon": note.churn_horizon,
            "item_id": effects.item_id or None,
            "item": _number(effects.item[0]),
            "next": EVENT_TYPES[kind],
            "next_event": {
                name: _number(effects.next_event[0, code]) for code, name in enumerate(EVENT_TYPES)
            },
        },
        "method": METHOD,
        "sorted_by": by,
        "steps": steps,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)


def _write(note: dict[str, Any], by: str) -> None:
    scores = note["scores"]
    late = ", a late event" if note["late"] else ""
    click.echo(
        f"{note['prediction_id']}: user {harmless(note['user_id'])} as of {moment(note['as_of'])}"
        f"{late}, told {moment(note['emitted_at'])}"
    )
    click.echo(
        f"model {note['model_version']}; window of {note['window_length']} steps rebuilt, digest"
        f" {note['window_digest']} agrees; the model runs over the last {note['steps_scored']}"
    )
    click.echo(f"\npurchase ({scores['purchase_horizon']}): {_percent(scores['purchase'])}")
    churn = "insufficient history" if scores["churn"] is None else _percent(scores["churn"])
    click.echo(f"churn ({scores['churn_horizon']}): {churn}")
    if scores["item_id"] is not None:
        click.echo(f"best item: {harmless(scores['item_id'])}, score {scores['item']:.3f}")
    chances = ", ".join(f"{name} {_percent(p)}" for name, p in scores["next_event"].items())
    click.echo(f"next event: {chances}")
    steps = note["steps"]
    if not steps:
        click.echo("\nThe window holds one step: there is nothing that could be left out.")
        return
    strongest = max(abs(step["effects"][by] or 0.0) for step in steps)
    click.echo(f"\nsteps by the strength of their effect on: {_title(by, scores)}")
    rows = []
    for step in steps:
        effects = step["effects"]
        rows.append((
            moment(step["time_ms"]),
            step["action"] if step["action"] == step["event_type"]
            else f"{step['event_type']}/{step['action']}",
            _what(step),
            _bar(effects[by], strongest),
            *(_effect(effects[name], name) for name in QUESTIONS),
        ))  # fmt: skip
    head = ("time", "event", "item or query", "", *(_title(name, scores) for name in QUESTIONS))
    write_table(head, rows)
    click.echo(f"\n{METHOD}.")
    click.echo("purchase, churn and next event in percentage points, item in units of its score")


def _title(question: str, scores: dict[str, Any]) -> str:
    if question == "item":
        return "best item" if scores["item_id"] is None else f"item {harmless(scores['item_id'])}"
    return f"next {scores['next']}" if question == "next" else question


def _what(step: dict[str, Any]) -> str:
    if step["query"] is not None:
        return f'"{harmless(step["query"][:40])}"'
    times = f" x{step['quantity']}" if step["quantity"] > 1 else ""
    return f"{harmless(step['item_id'])}{times}"


def _bar(effect: float | None, strongest: float) -> str:
    if not effect or not strongest:
        return ""
    sign = "+" if effect > 0 else "-"
    return sign * max(1, round(BAR_CHARS * abs(effect) / strongest))


def _effect(value: float | None, question: str) -> str:
    if value is None:
        return "."
    return f"{value:+.3f}" if question == "item" else f"{100 * value:+.2f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
