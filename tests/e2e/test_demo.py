"""`forecart demo` as a user runs it: processes, signals, what it prints and what it leaves."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from stream.settings import Settings
from stream.shell.admin import TopicAdmin

FORECART = [sys.executable, "-c", "from stream.cli import main; main()"]
LAST_LINE = re.compile(
    r"events=(\d+) predictions=(\d+) alerts=(\d+) dead_letters=(\d+) duplicates=(\d+) "
    r"events_per_second=(\d+) p50_ms=(\d+) p99_ms=(\d+)"
)
DEADLINE_S = 90

pytestmark = pytest.mark.kafka


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder of the test's own; at the end no process of it may be left."""
    folder = tmp_path / "state"
    yield folder
    left = leftovers(folder)
    for process in left:
        process.kill()
    assert not left


def leftovers(state: Path) -> list[psutil.Process]:
    """Processes that were started with this state folder, or have files in it."""
    found = []
    for process in psutil.process_iter():
        try:
            told = process.environ().get("FORECART_STATE_DIR", "")
            inside = any(str(state) in word for word in process.cmdline())
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and (told == str(state) or inside):
            found.append(process)
    return found


def start(state: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "FORECART_STATE_DIR": str(state), "FORECART_PROVIDER": "cpu"}
    return subprocess.Popen(
        [*FORECART, "demo", *arguments],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> list[str]:
    """Read lines until one is wanted; the test's time-out is the deadline."""
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if wanted(lines[-1]):
            return lines
    pytest.fail(f"the demo ended early: {lines[-3:]} {process.stderr.read()[-500:]}")


def demo_topics(bootstrap: str) -> set[str]:
    topics = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    return {name for name in topics if name.startswith("demo-")}


def last_line(output: str) -> tuple[int, ...]:
    match = LAST_LINE.fullmatch(output.splitlines()[-1])
    assert match, output[-500:]
    return tuple(int(number) for number in match.groups())


def test_ends_by_itself_and_everything_balances(kafka: str, state: Path) -> None:
    before = demo_topics(kafka)
    demo = start(state, "--broker", kafka, "--seconds", "12", "--rate", "500", "--keep")
    output, errors = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 0, errors
    events, predictions, alerts, dead_letters, duplicates, rate, p50_ms, p99_ms = last_line(output)
    assert 4_000 < events < 9_000
    assert 0.9 * events < predictions < events
    assert 0 < dead_letters < 0.1 * events
    assert predictions + dead_letters + duplicates == events
    assert alerts > 0
    assert 300 < rate < 800
    assert 0 < p50_ms <= p99_ms
    assert "starting the worker, 0 s; the first start compiles" in output
    assert "first prediction: " in output
    kept = demo_topics(kafka) - before
    prefix = next(name for name in kept if name.endswith("-clicks")).removesuffix("clicks")
    settings = Settings(broker=kafka, topic_prefix=prefix)
    try:
        audit = subprocess.run(
            [*FORECART, "audit", "--broker", kafka, "--set", f"topic_prefix={prefix}"],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert audit.returncode == 0, audit.stdout + audit.stderr
    finally:
        TopicAdmin(kafka, settings).delete()


def test_ctrl_c_ends_in_order(kafka: str, state: Path) -> None:
    before = demo_topics(kafka)
    demo = start(state, "--broker", kafka, "--rate", "200")
    until(demo, lambda line: line.startswith("first prediction: "))
    demo.send_signal(signal.SIGINT)
    output, errors = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 0, errors
    events, predictions, *_ = last_line(output)
    assert 0 < predictions <= events
    assert errors == ""
    assert demo_topics(kafka) == before


def test_embedded_broker_is_started_and_stopped(state: Path) -> None:
    demo = start(state, "--rate", "200")
    until(demo, lambda line: line.startswith("starting: "))
    deadline = time.monotonic() + DEADLINE_S
    while not any("kafka.Kafka" in process.cmdline() for process in leftovers(state)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    demo.send_signal(signal.SIGINT)  # during the start
    output, errors = demo.communicate(timeout=DEADLINE_S)
    assert (demo.returncode, errors) == (0, "")
    assert last_line(output)[:4] == (0, 0, 0, 0)
    assert not leftovers(state)


def test_worker_that_does_not_start_is_one_clear_line(kafka: str, state: Path) -> None:
    before = demo_topics(kafka)
    demo = start(state, "--broker", kafka, "--set", "bundle=/nowhere")
    output, errors = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 1
    assert errors.startswith("Error: forecart worker ended with status")
    assert "/nowhere" in errors
    assert len(errors.splitlines()) == 1
    assert "Traceback" not in output + errors
    assert demo_topics(kafka) == before


def test_unreachable_broker_is_one_clear_line(state: Path) -> None:
    demo = start(state, "--broker", "127.0.0.1:1")
    _, errors = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 1
    assert re.fullmatch(r"Error: .*127\.0\.0\.1:1.*\n", errors)
