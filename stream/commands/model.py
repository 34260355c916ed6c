"""`forecart model`: look at bundles, compare them, and say which one serves.

Rules of the room: a bundle is named by its folder or, if it lies in `models_folder`, by its
version. What a manifest says was written by others: nothing of it reaches the terminal unescaped.
"""

import getpass
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stream.commands.model_sign import command as sign
from stream.commands.options import bootstrap_of, with_settings
from stream.commands.terminal import harmless, moment, write_table
from stream.settings import Settings
from stream.wire.topics import CONTROL
from stream.wire.types import ModelControl

if TYPE_CHECKING:
    from stream.model.bundle import Bundle
    from stream.model.scorer import OnnxScorer
    from stream.model.shelf import Shelf

T = TypeVar("T")
ITEMS_TOP = 10  # of the lists that `compare` compares


@click.group()
def command() -> None:
    """Show, check, compare bundles; activate one, shadow one, roll back.

    Example: forecart model show
    """


command.add_command(sign)


@command.command()
@click.argument("bundle", required=False)
@with_settings
def show(bundle: str | None, settings: Settings) -> None:
    """Say what serves and which bundles there are; with BUNDLE, what its manifest says.

    Example: forecart model show stream/model/bundles/demo
    """
    if bundle is not None:
        _show_manifest(_folder(bundle, settings))
        return
    shelf = _shelf(settings)
    record = _record(settings)
    for line in _told(record, settings):
        click.echo(line)
    marks = {} if record is None else {record.shadow: "shadow", record.previous: "previous"}
    marks |= {} if record is None else {record.active: "active"}
    rows = [
        (version, marks.get(version, ""), *_briefly(shelf.folder / version))
        for version in shelf.versions()
    ]
    if rows:
        write_table(("version", "is", "model", "items", "L", "trained on"), rows)
    click.echo(f"{len(rows)} bundles in {shelf.folder}")


@command.command()
@click.argument("bundle")
@with_settings
def check(bundle: str, settings: Settings) -> None:
    """Say whether a worker with these settings takes a bundle: form, digests, golden batch.

    Example: forecart model check build/candidate
    """
    from stream.model.golden import check_golden

    opened, scorer = _open(_folder(bundle, settings), settings)
    largest = check_golden(opened, scorer.graphs)
    click.echo(
        f"accepted: {opened.version}; golden batch of {len(opened.golden['steps'])} rows differs by"
        f" {largest:.2g} at most, tolerance {opened.manifest.tolerance:.2g}"
    )


@command.command()
@click.argument("first")
@click.argument("second")
@with_settings
def compare(first: str, second: str, settings: Settings) -> None:
    """Compare two bundles: what differs in the manifests, and scores of their golden inputs.

    The golden inputs say how alike they are, not which is better: that is the report's business.

    Example: forecart model compare stream/model/bundles/demo build/candidate
    """
    pairs = [_open(_folder(name, settings), settings) for name in (first, second)]
    bundles = [bundle for bundle, _ in pairs]
    write_table(("", "first", "second"), list(_differences(*bundles)))
    rows = _agreement(pairs)
    click.echo("")
    write_table(("golden inputs of", "rows", "item lists agree", "purchase", "next event"), rows)
    click.echo(
        "agreement@10 of the lists, mean; purchase: mean difference of the probability;"
        " next event: mean divergence in nats"
    )


@command.command()
@click.argument("bundle")
@with_settings
def activate(bundle: str, settings: Settings) -> None:
    """Let a bundle serve: checked, put into `models_folder`, and named in model-control.

    Every worker warms it up beside the one that serves, and changes between two batches. Workers on
    other machines need the same folder.

    Example: forecart model activate build/candidate
    """
    version = _shelved(bundle, settings)
    record = _record(settings)
    if record is not None and record.active == version:
        raise click.ClickException(f"{version} is active already")
    before = _active(record, settings)
    _check_fits(before, version, settings)
    shadow = record.shadow if record is not None and record.shadow != version else None
    _write(settings, active=version, previous=before, shadow=shadow)
    click.echo(f"{version} is active; before: {before}")


@command.command()
@click.argument("bundle", required=False)
@click.option("--off", is_flag=True, help="Shadow no more.")
@with_settings
def shadow(bundle: str | None, off: bool, settings: Settings) -> None:
    """Let a bundle be scored beside the active one, for the metrics only.

    Example: forecart model shadow build/candidate
    """
    if off == (bundle is not None):
        raise click.UsageError("name a bundle, or --off")
    version = None if bundle is None else _shelved(bundle, settings)
    record = _record(settings)
    active = _active(record, settings)
    if version == active:
        raise click.ClickException(f"{version} is active already")
    _write(
        settings,
        active=active,
        previous=None if record is None else record.previous,
        shadow=version,
    )
    click.echo("no shadow" if version is None else f"{version} is shadow of {active}")


@command.command()
@with_settings
def rollback(settings: Settings) -> None:
    """Let the bundle serve that was active before the present one.

    Example: forecart model rollback
    """
    record = _record(settings)
    if record is None or record.previous is None:
        raise click.ClickException("model-control names no bundle that was active before")
    before = record.previous
    _in_line(_shelf(settings).find, before)
    shadow = None if record.shadow == before else record.shadow
    _write(settings, active=before, previous=record.active, shadow=shadow)
    click.echo(f"{before} is active; before: {record.active}")


# -- bundles


def _shelf(settings: Settings) -> "Shelf":
    from stream.model.shelf import Shelf

    return Shelf(settings.models_path, [Path(settings.bundle)] if settings.bundle else [])


def _in_line(function: Callable[..., T], *arguments: Any) -> T:
    """Call what may refuse a bundle; a refusal becomes one line."""
    from stream.model.manifest import BundleError

    try:
        return function(*arguments)
    except BundleError as error:
        raise click.ClickException(f"refused: {harmless(str(error))}") from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error


def _folder(name: str, settings: Settings) -> Path:
    """Find a bundle by folder or version."""
    if "/" in name or Path(name).is_dir():
        return Path(name)
    return _in_line(_shelf(settings).find, name)


def _open(folder: Path, settings: Settings) -> "tuple[Bundle, OnnxScorer]":
    """Load a bundle, run its golden batch, on the CPU."""
    from stream.model.bundle import load_bundle
    from stream.model.providers import open_graphs
    from stream.model.scorer import OnnxScorer

    key_file = settings.bundle_public_key_file
    bundle = _in_line(load_bundle, folder, settings.window_steps, key_file)
    graphs = _in_line(partial(open_graphs, bundle, "cpu"))
    return bundle, OnnxScorer(bundle, graphs, ITEMS_TOP)


def _shelved(name: str, settings: Settings) -> str:
    """Check a bundle whole and put it where the workers look; returns its version."""
    folder = _folder(name, settings)
    bundle, _ = _open(folder, settings)
    shelf = _shelf(settings)
    if name == bundle.version:
        return name  # found by its version, so it is where the workers look
    return _in_line(shelf.put, folder)


def _check_fits(before: str, version: str, settings: Settings) -> None:
    """Refuse what a running worker would: users' states hold hazards by bin."""
    from stream.model.manifest import BundleError
    from stream.model.shelf import manifest_in

    shelf = _shelf(settings)
    try:
        now = manifest_in(shelf.find(before)).hazard_edges_ms
    except BundleError:
        return  # not on this machine: the workers will say
    wanted = manifest_in(shelf.find(version)).hazard_edges_ms
    if now != wanted:
        raise click.ClickException(
            f"refused: hazard_edges_ms={wanted}, {before} has {now}: set `bundle` and start the"
            " workers anew"
        )


# -- words


def _show_manifest(folder: Path) -> None:
    from stream.model.manifest import iso_days
    from stream.model.shelf import manifest_in, version_in

    manifest = _in_line(manifest_in, folder)
    training = manifest.training
    data = "invented data: " if training.synthetic else ""
    size = sum(file.size_bytes for file in manifest.files.values())
    rows = [
        ("version", version_in(folder)),
        ("model", manifest.model),
        ("items known", f"{manifest.shapes.items:,}"),
        ("steps between rebuilds, L", str(manifest.refresh_steps)),
        ("purchase horizon", iso_days(manifest.purchase_horizon_ms)),
        ("churn checked for", iso_days(manifest.churn_horizon_ms)),
        ("hazard bins end after", ", ".join(map(iso_days, manifest.hazard_edges_ms))),
        ("trained on", data + training.data),
        ("by", f"{training.command} (seed {training.seed})"),
        ("users, events, rows", f"{training.users:,}, {training.events:,}, {training.rows:,}"),
        ("size", f"{size / 1e6:.1f} MB"),
        *_numbers(manifest.metrics),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{harmless(name):<{width}}  {harmless(value)}")


def _briefly(folder: Path) -> tuple[str, int | str, int | str, str]:
    from stream.model.manifest import BundleError
    from stream.model.shelf import manifest_in

    try:
        manifest = manifest_in(folder)
    except BundleError as error:
        return "refused", "", "", harmless(str(error))
    shapes, data = manifest.shapes, manifest.training.data
    return harmless(manifest.model), shapes.items, manifest.refresh_steps, harmless(data)


def _numbers(metrics: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Name each number of nested metrics."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{before}{name}: ")
        elif isinstance(value, float):
            yield before + name, f"{value:.4f}"
        elif isinstance(value, int | str):
            yield before + name, str(value)


def _differences(first: "Bundle", second: "Bundle") -> Iterator[tuple[str, str, str]]:
    """Name what differs between two manifests."""
    yield "version", harmless(first.version), harmless(second.version)
    tables = [dict(_facts(bundle)) for bundle in (first, second)]
    for name in {**tables[0], **tables[1]}:
        values = [harmless(table.get(name, "-")) for table in tables]
        if values[0] != values[1]:
            yield harmless(name), values[0], values[1]


def _facts(bundle: "Bundle") -> Iterator[tuple[str, str]]:
    manifest = bundle.manifest
    for name in ("model", "refresh_steps", "purchase_horizon_ms", "tolerance", "hazard_edges_ms"):
        yield name, str(getattr(manifest, name))
    yield "items", f"{manifest.shapes.items:,}"
    yield "state", f"{manifest.shapes.state} numbers a user"
    yield "trained on", manifest.training.data
    yield from _numbers(manifest.metrics)


def _agreement(pairs: "list[tuple[Bundle, OnnxScorer]]") -> list[tuple[str, int, str, str, str]]:
    """Score each one's golden inputs, from zero state, with both."""
    import numpy as np

    from stream.flow import comparison
    from stream.model.golden import golden_plan

    (first, first_scorer), (second, second_scorer) = pairs
    names = comparison.item_map(second.item_json, first.item_json)
    rows = []
    for number in (0, 1):
        plan = golden_plan(pairs[number][0])
        for scorer in (first_scorer, second_scorer):
            scorer.open(number, 1)
        found = comparison.compare(
            first_scorer.score(number, plan), second_scorer.score(number, plan), names
        )
        rows.append((
            ("first", "second")[number],
            len(plan.row_step),
            f"{np.nanmean(found.agreement):.3f}",
            f"{found.purchase.mean():.4f}",
            f"{found.next_event.mean():.4f}",
        ))  # fmt: skip
    return rows


# -- the control topic


def _record(settings: Settings) -> ModelControl | None:
    from stream.shell.control import read_control

    topic = settings.topic(CONTROL)
    found, _ = read_control(bootstrap_of(settings), topic, settings.model_name, settings.security)
    return found


def _active(record: ModelControl | None, settings: Settings) -> str:
    """Name what serves: by the record, else by the settings."""
    from stream.model.bundle import SHIPPED
    from stream.model.shelf import version_in

    if record is not None:
        return record.active
    return _in_line(version_in, Path(settings.bundle) if settings.bundle else SHIPPED)


def _told(record: ModelControl | None, settings: Settings) -> Iterator[str]:
    topic = settings.topic(CONTROL)
    if record is None:
        yield f"{topic} names no model {settings.model_name}: workers serve what they are set to,"
        yield f"here {_active(None, settings)}"
        return
    yield f"active    {record.active}"
    yield f"previous  {record.previous or '-'}"
    yield f"shadow    {record.shadow or '-'}"
    yield f"issued    {moment(record.issued_at)} by {harmless(record.issued_by)}"


def _write(settings: Settings, *, active: str, previous: str | None, shadow: str | None) -> None:
    from stream.shell.control import write_control

    record = ModelControl(
        model=settings.model_name,
        active=active,
        previous=previous,
        shadow=shadow,
        issued_at=time.time_ns() // 1_000_000,
        issued_by=f"{getpass.getuser()}@{socket.gethostname()}",
    )
    write_control(bootstrap_of(settings), settings.topic(CONTROL), record, settings.security)
