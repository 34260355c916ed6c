"""Forecart itself: `forecart worker` as a process, watched from outside, audited afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from stream.core.layout import TOPICS
from stream.settings import Settings
from stream.shell.admin import TopicAdmin
from stream.shell.reader import Reader
from tests.bench.case import Case, Result
from tests.bench.process import STOP_S, alive, end
from tests.bench.progress import Progress, committed, watch

FORECART = (sys.executable, "-c", "from stream.cli import main; main()")
READY_S = 180.0  # a first start compiles
AUDIT_S = 300.0


@dataclass(slots=True)
class Made:
    """What setup leaves for run and teardown."""

    settings: Settings
    environ: dict[str, str]
    worker: psutil.Popen
    log: Path
    others: list[psutil.Popen] = field(default_factory=list)  # further workers
    logs: list[Path] = field(default_factory=list)  # of the others


def setup(case: Case) -> Made:
    """Create the output topics and start the worker; live, wait until it is ready."""
    values = {
        "broker": case.bootstrap,
        "topic_prefix": case.prefix,
        "group": case.prefix + "forecart",
        "partitions": case.card.partitions,
        "window_steps": case.card.window_steps,
        "items_top": 0 if case.profile == "step" else 10,
        "guarantee": case.guarantee,
        "bundle": case.bundle,
        "catch_up_age_s": case.catch_up_age_s,
        "provider": "cpu",
        "web_port": free_port(),
        "state_dir": tempfile.mkdtemp(prefix="forecart-bench-"),
    }
    settings = Settings(**values)
    TopicAdmin(case.bootstrap, settings).apply()
    environ = dict(os.environ)
    environ |= {f"FORECART_{name.upper()}": str(value) for name, value in values.items()}
    log = Path("build/bench") / f"{case.prefix}worker.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    made = Made(settings, environ, started(environ, log), log)
    for number in range(1, case.workers):
        join(made, f".{number}.log")
    if case.mode == "live":
        until = time.monotonic() + READY_S
        while not is_ready(settings.web_port):
            alive(made.worker, made.log)()
            if time.monotonic() > until:
                teardown(case, made)
                raise TimeoutError(f"the worker is not ready after {READY_S:g} s: see {log}")
            time.sleep(0.1)
    return made


def started(environ: dict[str, str], log: Path) -> psutil.Popen:
    """Start a worker."""
    with log.open("wb") as sink:
        return psutil.Popen(
            [*FORECART, "worker"], env=environ, stdout=sink, stderr=subprocess.STDOUT
        )


def join(made: Made, suffix: str) -> None:
    """Start a further worker."""
    environ = made.environ | {"FORECART_WEB_PORT": str(free_port())}
    log = made.log.with_suffix(suffix)
    made.others.append(started(environ, log))
    made.logs.append(log)


def run(case: Case, made: Made) -> Result:
    """Wait until every event is committed, then audit.

    Of several workers the rate is that of the second half, when all have joined.
    """
    settings = made.settings
    progress = watched(case, made)
    from_events = case.events // 2 if case.workers > 1 else 0
    events, seconds, cpu_s = progress.rate(from_events=from_events)
    stages = stages_us(settings.web_port)
    for worker in (*made.others, made.worker):
        worker.send_signal(signal.SIGTERM)
    for worker in (*made.others, made.worker):
        worker.wait(STOP_S)
    done = audit(made)
    if done.returncode:
        raise RuntimeError(f"the audit does not balance:\n{done.stdout}{done.stderr}")
    return {
        "events": events,
        "seconds": seconds,
        "events_per_second": events / seconds,
        "cpu_us_per_event": cpu_s / events * 1e6,
        "commits": len(progress.points),
        "points": progress.points,
        "audit": done.stdout.strip().splitlines()[-1:],
        "sizes": sizes(case, settings),
        "stages_us_per_event": stages,
    }


def teardown(_case: Case, made: Made) -> None:
    """Stop the worker, and those that joined it."""
    for worker in (*made.others, made.worker):
        end(worker)
    shutil.rmtree(made.settings.state_dir, ignore_errors=True)


def watched(case: Case, made: Made) -> Progress:
    """Look until every event is committed."""
    settings = made.settings
    places = [(settings.topic(t), p) for t in TOPICS for p in range(settings.partitions)]
    with committed(case.bootstrap, settings.group, places) as done:
        workers, logs = (made.worker, *made.others), (made.log, *made.logs)
        each = [alive(worker, log) for worker, log in zip(workers, logs, strict=True)]
        return watch(done, case.events, case.deadline_s, lambda: sum(one() for one in each))


def audit(made: Made, settle_s: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run `forecart audit`; status 0: it balances, which the last line says in numbers."""
    settle = [] if settle_s is None else ["--settle", str(settle_s)]
    return subprocess.run(
        [*FORECART, "audit", *settle],
        env=made.environ, capture_output=True, text=True, timeout=AUDIT_S, check=False,
    )  # fmt: skip


def sizes(case: Case, settings: Settings) -> dict[str, float]:
    """Measure what was written per event, for the card: from a sample of each output topic."""
    found: dict[str, float] = {}
    with Reader(case.bootstrap) as reader:
        for name in ("predictions", "user-state"):
            topic = settings.topic(name)
            ranges = reader.ranges([topic])
            written = sum(end - first for first, end in ranges.values())
            # Offsets count transaction markers too: one per commit and partition, a few hundred.
            # From the middle: at the beginning windows are short.
            part = {
                place: ((first + end) // 2, min(end, (first + end) // 2 + 5_000))
                for place, (first, end) in ranges.items()
            }
            values = [len(record.value or b"") for record in reader.records(part)]
            found[f"{name}_bytes"] = sum(values) / max(1, len(values))
            found[f"{name}_per_event"] = written / case.events
    return found


def free_port() -> int:
    """Find a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stages_us(port: int) -> dict[str, float]:
    """Read off the metrics what an event cost in each stage: wall time, stages overlap."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = {
            family.name: family for family in text_string_to_metric_families(answer.read().decode())
        }
    rows = sum(sample.value for sample in families["forecart_events_processed"].samples)
    stages = families["forecart_stage_duration_seconds"].samples
    calls = families["forecart_inference_batch_size"].samples
    found = {
        sample.labels["stage"]: sample.value / rows * 1e6
        for sample in stages
        if sample.name.endswith("_sum")
    }
    count = next(sample.value for sample in calls if sample.name.endswith("_count"))
    return {**found, "rows_per_batch": rows / max(1.0, count)}


def is_ready(port: int) -> bool:
    """Ask the worker."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
