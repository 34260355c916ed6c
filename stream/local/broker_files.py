"""The files of an embedded broker's home: settings, logging, its record; and its ports.

- data/: the log directory, formatted; appears whole or not at all
- broker.properties, log4j2.properties: written anew at each start
- broker.log, broker.out: what Kafka logs (4 MiB and one old file), what the JVM itself prints
- broker.json: pid, start mark and ports of the running broker
- ports.json: the ports, remembered for the next start
- lock: held while a broker is being started or stopped
"""

import json
import os
import random
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from stream.local.whole import write_whole

HOST = "127.0.0.1"
NODE_ID = 1
MESSAGE_BYTES_MAX = 4 << 20
# Below the range from which outgoing connections take theirs (32768 and up on Linux), so that a
# remembered port is still free at the next start.
PORTS_AUTO = range(20_000, 32_000)

# Each differs from Kafka's default for a reason: one node, one machine, quick restarts.
BROKER_SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # A misspelled topic is an error, not a new topic.
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(MESSAGE_BYTES_MAX),
    "replica.fetch.max.bytes": str(MESSAGE_BYTES_MAX),
    # One node holds one replica of everything.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Fifty partitions each are for many groups; they cost a second at the first start.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    # Not `transaction.abort.timed.out.transaction.cleanup.interval.ms`: what is aborted before a
    # killed broker has its partitions again gets no marker (KAFKA-20734, docs/failure-modes.md).
    # A group starts at once, and tests may use short sessions.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    # After kill -9 the former registration must lapse (the default is 9 s). Not less: the broker
    # shares two cores with all that uses it, and one that misses its heartbeats loses its leaders.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "500",
    # Small machine, small memory.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "4",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    "log.index.size.max.bytes": str(2 << 20),
    # The demo deletes its topics; their bytes go soon after.
    "log.segment.delete.delay.ms": "1000",
}

LOGGING = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {home}/broker.log
appender.file.filePattern = {home}/broker.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %c{{1}}: %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 4MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""


@dataclass(frozen=True, slots=True)
class BrokerRecord:
    """What broker.json holds: a process that was started, and where it listens."""

    pid: int
    mark: str
    port: int
    controller_port: int
    kafka: str

    @property
    def bootstrap(self) -> str:
        """Address for clients."""
        return f"{HOST}:{self.port}"


def write_properties(home: Path, data: Path, port: int, controller_port: int) -> Path:
    """Write the broker's settings; the voter is static, so that both ports may change later."""
    settings = BROKER_SETTINGS | {
        "node.id": str(NODE_ID),
        "controller.quorum.voters": f"{NODE_ID}@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "log.dirs": str(data),
    }
    text = "".join(f"{name}={value}\n" for name, value in settings.items())
    path = home / "broker.properties"
    write_whole(path, _java_escaped(text))
    return path


def write_logging(home: Path) -> Path:
    """Write the logging settings of the broker."""
    path = home / "log4j2.properties"
    write_whole(path, _java_escaped(LOGGING.format(home=home)))
    return path


def write_record(home: Path, record: BrokerRecord) -> None:
    """Write down which process is the broker."""
    write_whole(home / "broker.json", json.dumps(asdict(record)))


def read_record(home: Path) -> BrokerRecord | None:
    """Read which process was the broker last; None: nobody wrote it, or it is unreadable."""
    try:
        return BrokerRecord(**json.loads((home / "broker.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def remembered_ports(home: Path) -> tuple[int, int]:
    """Ports of the last start; zeros: there was none."""
    try:
        port, controller_port = json.loads((home / "ports.json").read_text())
        return int(port), int(controller_port)
    except (OSError, ValueError, TypeError):
        return 0, 0


def remember_ports(home: Path, port: int, controller_port: int) -> None:
    """Keep the ports for the next start."""
    write_whole(home / "ports.json", json.dumps([port, controller_port]))


def port_is_free(port: int) -> bool:
    """Say whether a server can listen on the port, as Kafka would."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def choose_port(preferred: int, *, taken: frozenset[int] = frozenset()) -> int:
    """Choose the preferred port, or a free one. Raises OSError when none is."""
    if preferred and preferred not in taken and port_is_free(preferred):
        return preferred
    for port in random.sample(PORTS_AUTO, 200):
        if port not in taken and port_is_free(port):
            return port
    raise OSError(f"no free port among 200 tried in {PORTS_AUTO.start}-{PORTS_AUTO.stop - 1}")


def last_lines(home: Path) -> list[str]:
    """Give the telling lines among the last that the broker logged or its JVM printed."""
    text = ""
    for name in ("broker.log", "broker.out"):
        try:
            with (home / name).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 65_536))
                text += file.read().decode(errors="replace")
        except OSError:
            continue
    return telling_lines(text)


def telling_lines(text: str, count: int = 3) -> list[str]:
    """Give the last lines that name an error, else the last lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    words = ("Exception", "Error", " ERROR ", " FATAL ")
    causes = [line for line in lines if any(word in line for word in words)]
    return (causes or lines)[-count:]


def _java_escaped(text: str) -> str:
    """Write what is not ASCII as Java's property files want it: in UTF-16 units."""
    units = text.encode("utf-16-be")
    numbers = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(number) if number < 128 else f"\\u{number:04x}" for number in numbers)
