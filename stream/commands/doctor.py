"""`forecart doctor`: what is wrong with this deployment, and how to mend it."""

import dataclasses
import json
import os

import click

from stream.commands.options import with_settings
from stream.commands.terminal import harmless
from stream.settings import Settings

COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@with_settings
def command(as_json: bool, settings: Settings) -> None:
    """Check everything a worker needs, and say how to mend what is wrong.

    Settings, disk, bundle, provider and driver here; on the broker topics, rights, where records
    lie, and clocks. Nothing is changed. Status 1 when a line says fail.

    Example: forecart doctor --broker localhost:9092
    """
    from stream.doctor.examine import examine

    findings = []
    for finding in examine(settings, os.environ):
        findings.append(finding)
        if not as_json:
            verdict = click.style(f"{finding.verdict:<4}", fg=COLORS[finding.verdict])
            click.echo(f"{verdict}  {finding.check:<8}  {harmless(finding.said)}")
            if finding.cure:
                click.echo(f"{'':16}mend: {harmless(finding.cure)}")
    counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in COLORS}
    if as_json:
        listed = [dataclasses.asdict(finding) for finding in findings]
        click.echo(json.dumps({"ok": not counts["fail"], "findings": listed}))
    else:
        click.echo(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    if counts["fail"]:
        raise click.exceptions.Exit(1)
