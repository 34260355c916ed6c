"""`forecart worker`: events in, predictions and alerts out, until it is told to stop."""

import logging
import os
import sys
from typing import Any

import click

from stream.commands.options import bootstrap_of, with_settings
from stream.settings import Settings, not_used


@click.command("worker")
@click.option("--instance", type=int, help="Number of this worker; default: the lowest free one.")
@click.option("--supervise", is_flag=True, help="Start it again when it fails.")
@with_settings
def command(settings: Settings, instance: int | None, supervise: bool) -> None:
    """Run a worker: events in, predictions and alerts out.

    Several workers share the partitions of a group. SIGTERM and Ctrl-C commit what is applied and
    leave; a failure ends with the exit code of its cause.

    Example: forecart worker --broker localhost:9092 --supervise
    """
    from stream.shell.logs import open_log

    open_log(settings)
    if supervise:
        sys.exit(_supervised())
    if unused := not_used(os.environ):
        logging.getLogger(__name__).warning("%s", "; ".join(unused))
    sys.exit(_run(settings, settings.instance if instance is None else instance))


def _supervised() -> int:
    """Run this same command without --supervise, again and again."""
    from stream.flow.stops import codes_without_restart
    from stream.local.supervise import supervise

    arguments = [argument for argument in sys.argv[1:] if argument != "--supervise"]
    usage = 2  # click's code for wrong arguments, and ours for a start that was refused
    program = [sys.executable, sys.argv[0], *arguments]
    return supervise(program, {usage, *codes_without_restart()})


def _run(settings: Settings, number: int) -> int:
    from stream.connection import AccessError, BrokerError
    from stream.flow.stops import AccessRefusedError, WorkerStopError
    from stream.local.instance import Instance, InstanceError
    from stream.model.manifest import BundleError
    from stream.model.providers import ProviderError

    try:
        bootstrap = bootstrap_of(settings)
        partitions = _partitions(settings, bootstrap)
        held = Instance(settings.state_path / "instances", settings.group, number)
        service = _service(settings, bootstrap, held.number, partitions)
    except WorkerStopError as error:
        logging.getLogger(__name__).critical("%s", error)
        return error.exit_code
    except AccessError as error:
        click.echo(f"Error: {error}", err=True)
        return AccessRefusedError.exit_code
    except (BrokerError, InstanceError, BundleError, ProviderError) as error:
        raise click.ClickException(str(error)) from error
    import asyncio

    try:
        code: int = asyncio.run(service.run())
    except WorkerStopError as error:  # before there was anything to leave in order
        logging.getLogger(__name__).critical("%s", error)
        return error.exit_code
    return code


def _service(settings: Settings, bootstrap: str, number: int, partitions: int) -> Any:
    from stream.app import Service

    return Service(settings, bootstrap, number, partitions)


def _partitions(settings: Settings, bootstrap: str) -> int:
    """Count the partitions of the inputs. Raises TopicsError, AccessError, each with the cure."""
    from stream.connection import AccessError
    from stream.shell.admin import TopicAdmin, TopicsError, refuse_partitions
    from stream.wire.topics import INPUTS, TABLE

    admin = TopicAdmin(bootstrap, settings)
    counts = admin.partitions()
    names = [settings.topic(topic.name) for topic in TABLE]
    missing = [name for name in names if name not in counts]
    if missing:
        hidden = " (or this user may not see them)" if settings.sasl_username else ""
        raise TopicsError(
            f"topics missing: {', '.join(missing)}",
            f"`forecart topics apply` creates them{hidden}",
        )
    refuse_partitions(counts, settings)
    denied = admin.denied()
    if denied:
        raise AccessError(
            f"Kafka at {bootstrap} does not allow this worker: {'; '.join(denied)};"
            " `forecart topics acls worker` names all that it needs"
        )
    return counts[settings.topic(INPUTS[0])]
