"""All checks in order. A check that raises is itself a finding, so there is never a traceback."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from stream.doctor.broker import broker_findings
from stream.doctor.device import device_findings
from stream.doctor.finding import Finding
from stream.doctor.machine import bundle_finding, disk_findings, settings_findings
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.model.bundle import Bundle


def examine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at settings and machine, then at the broker."""
    bundles: list[Bundle] = []

    def bundle() -> Iterator[Finding]:
        finding, opened = bundle_finding(settings)
        bundles.extend([opened] if opened else [])
        yield finding

    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("settings", lambda: settings_findings(settings, environ)),
        ("disk", lambda: disk_findings(settings)),
        ("bundle", bundle),
        ("provider", lambda: device_findings(settings, bundles[0] if bundles else None)),
        ("broker", lambda: broker_findings(settings)),
    )
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 somebody in trouble reads it: a line, not a trace
            said = f"the check itself failed: {type(error).__name__}: {error}"
            yield Finding(name, "fail", " ".join(said.split()), "report this line: a fault of ours")
