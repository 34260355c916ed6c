"""Apache Kafka with TLS, SCRAM and an authorizer: the embedded one's jars and settings, closed.

Clients come over SASL_SSL, or over SSL alone with a certificate; without a rule nobody may do
anything, but for `admin`. The broker talks to itself over a listener without TLS that only this
machine sees.
"""

import base64
import subprocess
import time
import uuid
from functools import cached_property
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream.connection import options
from stream.local import broker_files
from stream.local.jars import class_path
from stream.local.kafka import _java, _jvm, _startup_cache_path
from stream.security import Security
from tests.security.certificates import issue, make_authority

PASSWORDS = {
    "admin": "admin-5ecret-of-the-admin",
    "worker": "worker-5ecret-of-the-worker",
    "publisher": "publisher-5ecret-of-the-publisher",
    "auditor": "auditor-5ecret-of-the-auditor",
    "operator": "operator-5ecret-of-the-operator",
}
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
START_S = 90.0


class SecuredBroker:
    """One broker in one folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.authority = make_authority(home, "authority")
        self.port, self.ssl_port, inner, controller = _free_ports(4)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.ssl_bootstrap = f"127.0.0.1:{self.ssl_port}"
        certificate, key = issue(home, "broker", self.authority)
        (home / "store.pem").write_bytes(key.read_bytes() + certificate.read_bytes())
        self.properties = home / "broker.properties"
        settings = broker_files.BROKER_SETTINGS | {
            "node.id": "1",
            "log.dirs": str(home / "data"),
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": (
                f"SASL_SSL://127.0.0.1:{self.port},SSL://127.0.0.1:{self.ssl_port},"
                f"PLAINTEXT://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller}"
            ),
            "advertised.listeners": (
                f"SASL_SSL://127.0.0.1:{self.port},SSL://127.0.0.1:{self.ssl_port},"
                f"PLAINTEXT://127.0.0.1:{inner}"
            ),
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(home / "store.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": ",".join((*MECHANISMS, "PLAIN")),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:admin;User:ANONYMOUS",  # anonymous: the broker itself
        }
        for mechanism in MECHANISMS:
            settings[f"listener.name.sasl_ssl.{mechanism.lower()}.sasl.jaas.config"] = (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            )
        users = " ".join(f'user_{name}="{text}"' for name, text in PASSWORDS.items())
        settings["listener.name.sasl_ssl.plain.sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        )
        self.properties.write_text("".join(f"{name}={at}\n" for name, at in settings.items()))
        self.process: subprocess.Popen[bytes] | None = None

    def security(self, user: str, mechanism: str = "SCRAM-SHA-512") -> Security:
        return Security("SASL_SSL", mechanism, user, PASSWORDS[user], str(self.authority.file))

    def environ(self, user: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        """The settings of a process that is this user."""
        return {
            "FORECART_BROKER": self.bootstrap,
            "FORECART_SECURITY_PROTOCOL": "SASL_SSL",
            "FORECART_SASL_MECHANISM": mechanism,
            "FORECART_SASL_USERNAME": user,
            "FORECART_SASL_PASSWORD": PASSWORDS[user],
            "FORECART_SSL_CA_FILE": str(self.authority.file),
        }

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient(options(self.bootstrap, self.security("admin")) | {"log_level": 0})

    def up(self) -> None:
        program = _jvm(_java(), class_path(), self.home)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        scrams = [
            f"--add-scram={mechanism}=[name={name},password={text}]"
            for mechanism in MECHANISMS
            for name, text in PASSWORDS.items()
        ]
        subprocess.run(
            [*program, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}",
             f"--config={self.properties}", *scrams],
            check=True, capture_output=True, timeout=START_S,
        )  # fmt: skip
        with (self.home / "broker.out").open("wb") as out:
            self.process = subprocess.Popen(
                [*program, *_cache(), "kafka.Kafka", str(self.properties)], stdout=out, stderr=out
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                if self.admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException as error:
                ended = self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    lines = broker_files.last_lines(self.home)
                    raise AssertionError(f"no secured broker: {lines}") from error

    def down(self) -> None:
        if self.process is not None:
            self.process.kill()  # its data go with the test
            self.process.wait()


def _cache() -> list[str]:
    kept = _startup_cache_path()
    return [f"-XX:AOTCache={kept}"] if kept.is_file() else []


def _free_ports(count: int) -> list[int]:
    ports: list[int] = []
    while len(ports) < count:
        ports.append(broker_files.choose_port(0, taken=frozenset(ports)))
    return ports
