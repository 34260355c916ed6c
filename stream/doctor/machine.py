"""Checks of what lies on this machine: settings, the bundle, folders and room in them."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from stream.doctor.finding import Finding, forecart
from stream.local.kafka import DISK_BYTES_MIN
from stream.model.bundle import SHIPPED, Bundle, load_bundle
from stream.model.golden import check_golden
from stream.model.manifest import BundleError
from stream.model.providers import open_graphs
from stream.settings import ENV_PREFIX, Settings, not_used

COMFORTABLE: Final = 4  # times what is needed: less is a warning
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def settings_findings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look for what is set and means nothing, or more than it seems."""
    wrong = not_used(environ)
    for said in wrong:
        yield Finding("settings", "warn", said, f"`unset {said.split()[0]}`")
    if settings.broker and not (settings.erasure_key or settings.erasure_key_file):
        yield Finding(
            "settings", "warn",
            "no erasure_key: who guesses an erased user's id can check the guess",
            "before the first erasure: `openssl rand -hex 32 > FILE`, and"
            f" {ENV_PREFIX}ERASURE_KEY_FILE=FILE for all workers",
        )  # fmt: skip
    if settings.web_port >= 0 and settings.web_bind not in LOOPBACK:
        said = f"web_bind={settings.web_bind}: metrics can be read from other machines"
        yield Finding("settings", "warn", said, "keep it inside a closed network")
    if not wrong:
        changed = [f.name for f in fields(settings) if getattr(settings, f.name) != f.default]
        said = f"in range, and agree; other than by default: {', '.join(changed) or 'none'}"
        yield Finding("settings", "ok", said)


def bundle_finding(settings: Settings) -> tuple[Finding, Bundle | None]:
    """Open the bundle as a worker does: form, digests, signature, golden batch on the CPU."""
    folder = Path(settings.bundle) if settings.bundle else SHIPPED
    try:
        bundle = load_bundle(folder, settings.window_steps, settings.bundle_public_key_file)
        largest = check_golden(bundle, open_graphs(bundle, "cpu"))
    except BundleError as error:
        return Finding("bundle", "fail", str(error), _bundle_cure(settings)), None
    said = (
        f"{bundle.version}: digests right, golden batch differs by {largest:.1g} at most"
        f" (tolerance {bundle.manifest.tolerance:.1g})"
    )
    return Finding("bundle", "ok", said), bundle


def _bundle_cure(settings: Settings) -> str:
    if settings.bundle:
        return (
            f"copy it anew or name another, then `forecart model check {settings.bundle}`; without"
            " the setting `bundle` the shipped one serves"
        )
    return "install anew: `pip install --force-reinstall --no-deps forecart`; or " + forecart(
        "model check FOLDER", settings
    )


def disk_findings(settings: Settings) -> Iterator[Finding]:
    """Look whether the folders can be written to, and have room."""
    told: set[Path] = set()
    for name, path in (("state_dir", settings.state_path), ("models_folder", settings.models_path)):
        there = next(part for part in (path, *path.parents) if part.exists())
        if there not in told:
            told.add(there)
            yield _folder(name, path, there)


def _folder(name: str, path: Path, there: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        said = f"{name} {path}: {(error.strerror or str(error)).lower()}"
        cure = f"`sudo install -d -o {os.getuid()} {path}`, or --set {name}=FOLDER"
        return Finding("disk", "fail", said, cure)
    free = shutil.disk_usage(there).free
    said = f"{name} {path}: {free >> 20} MiB free"
    cure = f"make room below {there}, or --set {name}=FOLDER on another disk"
    if free < DISK_BYTES_MIN:
        return Finding("disk", "fail", f"{said}, {DISK_BYTES_MIN >> 20} are needed", cure)
    if free < COMFORTABLE * DISK_BYTES_MIN:
        return Finding("disk", "warn", said, cure)
    return Finding("disk", "ok", said)
