"""`forecart capacity`: partitions, workers, memory, disk and restore time for a load."""

import dataclasses
import json
from pathlib import Path

import click

from stream.commands.capacity_plan import (
    GIB,
    MEASURED,
    SHARE,
    CapacityError,
    Load,
    Plan,
    plan,
    rate_of,
)
from stream.commands.options import Number, with_settings
from stream.commands.terminal import write_table
from stream.settings import Settings

GB, TB = 1e9, 1e12


@click.command()
@click.option(
    "--events-per-second", required=True, type=Number(0, min_open=True), help="At the peak."
)
@click.option("--users", required=True, type=click.IntRange(1), help="Whose state is kept.")
@click.option("--partitions", type=click.IntRange(1), help="A number that is given already.")
@click.option(
    "--worker-memory",
    default=8.0,
    show_default=True,
    type=Number(0, min_open=True),
    help="GiB that a worker may take.",
)
@click.option(
    "--event-bytes", default=200, show_default=True, type=click.IntRange(1), help="Of one event."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def command(
    settings: Settings,
    events_per_second: float,
    users: int,
    partitions: int | None,
    worker_memory: float,
    event_bytes: int,
    as_json: bool,
) -> None:
    """Say what a load takes: partitions, workers, memory, disk, time to restore.

    Arithmetic on what was measured on one machine, shown beneath with the commands that measure it
    on yours; no broker is asked. Settings that count: items_top, window_steps, users_max,
    hidden_users_max, standby_replicas, replication, commit_interval_ms, bundle. See
    docs/scaling.md.

    Example: forecart capacity --events-per-second 50000 --users 2000000 --set replication=3
    """
    from stream.model.bundle import SHIPPED
    from stream.model.manifest import BundleError
    from stream.model.shelf import manifest_in

    try:
        manifest = manifest_in(Path(settings.bundle) if settings.bundle else SHIPPED)
        made = plan(
            Load(
                events_per_second,
                users,
                event_bytes,
                manifest.shapes.state,
                partitions,
                int(worker_memory * GIB),
            ),
            settings,
        )
    except (BundleError, CapacityError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(made)))
        return
    _write(made, settings)


def _write(made: Plan, settings: Settings) -> None:
    replicas = f"in {settings.replication} replicas" if settings.replication > 1 else "one replica"
    write_table(
        ("what", "how much", "why"),
        [
            ("partitions", f"{made.partitions}", "of every topic; cannot be changed later"),
            (
                "workers",
                f"{made.workers}",
                f"each planned at {SHARE:.0%} of {rate_of(settings):,.0f} events/s; one may go",
            ),
            ("standbys", f"{made.standby_replicas}", "setting standby_replicas"),
            ("memory of a worker", _bytes(made.worker_bytes), "all workers up"),
            ("", _bytes(made.worker_bytes_one_gone), "one gone: the limit to set"),
            (
                "(h, c) kept",
                f"{made.hidden_share:.0%} of users",
                "hidden_users_max; others cost a whole window at each event (docs/scale.md)",
            ),
            ("changelog, writes", f"{made.changelog_write_bytes_per_s / 1e6:,.0f} MB/s", replicas),
            ("changelog, disk", _disk(made.changelog_disk_bytes), replicas),
            ("inputs, predictions", _disk(made.topics_disk_bytes), f"7 days of them, {replicas}"),
            ("restore", f"{made.restore_s:,.0f} s", "of a worker's own partitions"),
            ("", f"{made.restore_one_gone_s:,.0f} s", "of what each takes over from one that goes"),
        ],
    )
    click.echo()
    write_table(
        ("measured", "unit", "what", "by"),
        [(f"{m.value:,g}", m.unit, m.what, m.command) for m in MEASURED.values()],
    )


def _bytes(size: int) -> str:
    return f"{size / GIB:,.1f} GiB"


def _disk(size: int) -> str:
    amount, unit = (size / TB, "TB") if size >= TB else (size / GB, "GB")
    return f"{amount:,.{0 if amount >= 100 else 1}f} {unit}"
