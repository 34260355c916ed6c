"""A worker on a broker with TLS, SCRAM and an authorizer: what it may do, and what it tells."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from stream.cli import group
from stream.connection import AccessError, BrokerError, options
from stream.flow.stops import AccessRefusedError
from stream.local.publish import Publisher
from stream.security import PLAINTEXT, Security
from stream.settings import Settings
from stream.shell.admin import TopicAdmin
from stream.shell.producer import ProducerConfig
from stream.shell.reader import Reader
from stream.shell.transaction import TransactionalProducer
from stream.wire.rights import ROLES, Right, rights_of
from stream.wire.topics import INPUTS
from tests.deployment import FORECART, until
from tests.security.certificates import make_authority
from tests.security.secured_broker import PASSWORDS, SecuredBroker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

PREFIX = "guarded-"
GROUP = "guarded"
NAMES = {"FORECART_TOPIC_PREFIX": PREFIX, "FORECART_GROUP": GROUP}
USERS = [f"canary-user-{number:03d}" for number in range(40)]
KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
OPERATIONS = {each.name.replace("_", "").lower(): each for each in AclOperation}


def bindings(right: Right, user: str) -> list[AclBinding]:
    pattern = ResourcePatternType.PREFIXED if right.is_prefix else ResourcePatternType.LITERAL
    return [
        AclBinding(
            KINDS[right.kind], right.name, pattern, f"User:{user}", "*",
            OPERATIONS[operation.lower()], AclPermissionType.ALLOW,
        )
        for operation in right.operations
    ]  # fmt: skip


def allow(broker: SecuredBroker, right: Right, user: str) -> None:
    for future in broker.admin.create_acls(bindings(right, user)).values():
        future.result(10)


def disallow(broker: SecuredBroker, right: Right, user: str) -> None:
    filters = [
        AclBindingFilter(
            each.restype, each.name, each.resource_pattern_type, each.principal, each.host,
            each.operation, each.permission_type,
        )
        for each in bindings(right, user)
    ]  # fmt: skip
    for future in broker.admin.delete_acls(filters).values():
        assert len(future.result(10)) == 1


@pytest.fixture(scope="module")
def guarded(secured: SecuredBroker) -> SecuredBroker:
    """A broker on which each role may do what `topics acls` says; the operator made the topics."""
    for role in ("worker", "publisher", "auditor", "operator"):
        for right in rights_of(role, PREFIX, GROUP):
            allow(secured, right, role)
    done = CliRunner().invoke(
        group, ["topics", "apply"], env={**secured.environ("operator"), **NAMES}
    )
    assert done.exit_code == 0, done.output
    return secured


def settings_of(broker: SecuredBroker, role: str) -> Settings:
    return Settings(
        broker=broker.bootstrap, topic_prefix=PREFIX, group=GROUP,
        security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512", sasl_username=role,
        sasl_password=PASSWORDS[role], ssl_ca_file=str(broker.authority.file),
    )  # fmt: skip


# -- who is not let in


def test_every_mechanism_lets_us_in(secured: SecuredBroker) -> None:
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        with Reader(secured.bootstrap, secured.security("auditor", mechanism)):
            pass


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"password": "wrong"}, "does not know this name and password"),
        ({"username": "stranger"}, "does not know this name and password"),
        ({"mechanism": "PLAIN", "password": "wrong"}, "does not know this name and password"),
        ({"ca_file": ""}, "no TLS with it"),
    ],
)
def test_who_is_refused_hears_it_at_once(
    secured: SecuredBroker, changed: dict[str, str], said: str
) -> None:
    security = replace(secured.security("auditor"), **changed)
    began = time.monotonic()
    with pytest.raises(AccessError, match=said) as caught:
        Reader(secured.bootstrap, security)
    assert time.monotonic() - began < 4.0
    assert "\n" not in str(caught.value)
    assert PASSWORDS["auditor"] not in str(caught.value)


def test_another_protocol_is_named_as_the_cause(secured: SecuredBroker) -> None:
    for security in (Security(), Security("SSL", ca_file=str(secured.authority.file))):
        with pytest.raises(BrokerError, match="is security_protocol what this address wants"):
            Reader(secured.bootstrap, security, reach_s=1.0)


def run_worker(broker: SecuredBroker, folder: Path, **changed: str) -> tuple[int, str]:
    environ = {**broker.environ("worker"), **NAMES, "FORECART_STATE_DIR": str(folder), **changed}
    done = CliRunner().invoke(group, ["worker"], env=environ)
    return done.exit_code, done.output


def test_a_worker_that_is_refused_ends_with_a_code_of_its_own(
    guarded: SecuredBroker, tmp_path: Path
) -> None:
    environ = {**os.environ, **guarded.environ("worker"), **NAMES}
    done = subprocess.run(
        [*FORECART, "worker"], env={**environ, "FORECART_SASL_PASSWORD": "wr0ng-5ecret"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert (done.returncode, output.count("\n")) == (AccessRefusedError.exit_code, 1), output
    assert "does not know this name and password" in output
    assert "5ecret" not in output
    other = make_authority(tmp_path, "other").file
    code, output = run_worker(guarded, tmp_path, FORECART_SSL_CA_FILE=str(other))
    assert (code, output.count("\n")) == (AccessRefusedError.exit_code, 1), output
    assert "certificate verify failed" in output
    plain = {name: "" for name in guarded.environ("worker") if name != "FORECART_BROKER"}
    plain["FORECART_SECURITY_PROTOCOL"] = PLAINTEXT
    code, output = run_worker(guarded, tmp_path, **plain)
    assert (code, output.count("\n")) == (1, 1), output
    assert "is security_protocol what this address wants" in output


# -- who is let in


def event(number: int, user: str, kind: str = "click") -> bytes:
    note = {"event_id": f"e{number}", "event_type": kind, "event_time": 1_700_000_000_000 + number}
    return json.dumps({**note, "user_id": user, "item_id": f"i{number % 7}"}).encode()


def publish(broker: SecuredBroker) -> int:
    """Good events, events of a forgotten user, and dead letters of users with names."""
    settings = settings_of(broker, "publisher")
    publisher = Publisher(
        broker.bootstrap, [settings.topic(name) for name in INPUTS], settings.security
    )
    rows = [(USERS[n % 40].encode(), event(n, USERS[n % 40])) for n in range(1_200)]
    rows += [(USERS[0].encode(), event(1_300, USERS[0], "user_forget"))]
    rows += [(USERS[n].encode(), event(1_310 + n, USERS[n])[:-9]) for n in range(20)]
    rows += [(USERS[n].encode(), event(1_400 + n, USERS[n + 1])) for n in range(20)]
    try:
        publisher.send(
            np.zeros(len(rows), np.uint8), [key for key, _ in rows], [value for _, value in rows]
        )
        publisher.flush()
    finally:
        publisher.close()
    return len(rows)


@pytest.fixture
def worker(
    guarded: SecuredBroker, tmp_path: Path
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    log = tmp_path / "worker.log"
    environ = {
        **os.environ, **guarded.environ("worker"), **NAMES,
        "FORECART_STATE_DIR": str(tmp_path), "FORECART_LOG_LEVEL": "DEBUG",
        "FORECART_PROVIDER": "cpu", "FORECART_COMMIT_INTERVAL_MS": "200",
        "FORECART_ERASURE_KEY": "erasure-5ecret",
    }  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen([*FORECART, "worker"], env=environ, stdout=out, stderr=out)
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


def test_a_worker_works_with_its_rights_and_tells_no_secret(
    guarded: SecuredBroker, worker: tuple["subprocess.Popen[bytes]", Path]
) -> None:
    process, log = worker
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    publish(guarded)
    until(lambda: process.poll() is not None or " running\n" in log.read_text(), "a worker")
    assert process.poll() is None, log.read_text()
    audit = CliRunner().invoke(
        group, ["audit", "--settle", "60"], env={**guarded.environ("auditor"), **NAMES}
    )
    assert audit.exit_code == 0, audit.output + log.read_text()[-2_000:]
    assert re.search(r"predicted=1[12]\d\d ", audit.output), audit.output
    address = re.search(r"metrics and health on (\S+)", log.read_text())
    assert address is not None
    pages = [
        urllib.request.urlopen(address[1] + path, timeout=10).read().decode()  # noqa: S310 ours
        for path in ("/metrics", "/healthz", "/readyz")
    ]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, log.read_text()
    told = [log.read_text(), audit.output, *pages, arguments.decode()]
    assert "canary-user" not in "".join(told)
    assert "5ecret" not in "".join(told)
    assert " DEBUG " not in log.read_text().replace(" DEBUG stream", "")


def test_a_worker_may_do_nothing_else(guarded: SecuredBroker) -> None:
    given = options(guarded.bootstrap, guarded.security("worker")) | {"log_level": 0}
    failures: list[KafkaError] = []
    producer = Producer(given)
    for name in (*INPUTS, "model-control"):
        producer.produce(PREFIX + name, b"x", b"k", 0, lambda error, _: failures.append(error))
    assert producer.flush(20) == 0
    assert [error.code() for error in failures] == [KafkaError.TOPIC_AUTHORIZATION_FAILED] * 4
    consumer = Consumer(given | {"group.id": "another"})
    try:
        consumer.subscribe([PREFIX + INPUTS[0]])
        message = consumer.poll(20)
        assert message is not None
        assert message.error().code() == KafkaError.GROUP_AUTHORIZATION_FAILED
    finally:
        consumer.close()
    reader = Reader(guarded.bootstrap, guarded.security("worker"))
    with pytest.raises(AccessError, match="does not allow it"):
        list(reader.records({(PREFIX + "predictions", 0): (0, 1)}, stall_s=20.0))
    with pytest.raises(AccessError, match="does not allow it"):
        TopicAdmin(guarded.bootstrap, settings_of(guarded, "worker")).delete()


@pytest.mark.parametrize("right", rights_of("worker", PREFIX, GROUP), ids=lambda right: right.name)
def test_each_right_is_needed_and_named(guarded: SecuredBroker, right: Right) -> None:
    settings = settings_of(guarded, "worker")
    admin = TopicAdmin(guarded.bootstrap, settings)
    assert admin.denied() == []
    disallow(guarded, right, "worker")
    try:
        if right.kind == "transactional-id":
            config = ProducerConfig(
                guarded.bootstrap, settings.security, start_deadline_s=20, extra={"log_level": 0}
            )
            with pytest.raises(AccessRefusedError, match="TRANSACTIONAL_ID_AUTHORIZATION_FAILED"):
                TransactionalProducer(config, f"{GROUP}-9").start()
            return
        until(lambda: bool(admin.denied()), "the broker to know")
        assert admin.denied() == [f"{', '.join(right.operations)} on {right.kind} {right.name}"]
    finally:
        allow(guarded, right, "worker")
        until(lambda: admin.denied() == [], "the broker to know")


def test_a_worker_without_a_right_says_which(guarded: SecuredBroker, tmp_path: Path) -> None:
    right = Right("group", GROUP, ("Read",))
    disallow(guarded, right, "worker")
    try:
        code, output = run_worker(guarded, tmp_path)
    finally:
        allow(guarded, right, "worker")
    assert (code, output.count("\n")) == (AccessRefusedError.exit_code, 1), output
    assert f"does not allow this worker: Read on group {GROUP};" in output


def test_the_doctor_names_the_right(guarded: SecuredBroker, tmp_path: Path) -> None:
    environ = {
        **guarded.environ("worker"), **NAMES, "FORECART_STATE_DIR": str(tmp_path),
        "FORECART_PROVIDER": "cpu",
    }  # fmt: skip
    done = CliRunner().invoke(group, ["doctor"], env=environ)
    assert done.exit_code == 0, done.output
    assert "User:worker may do on topics and group what a worker does" in done.output
    assert "no right DescribeConfigs (operator)" in done.output
    right = Right("topic", f"{PREFIX}user-state", ("Write",))
    disallow(guarded, right, "worker")
    try:
        done = CliRunner().invoke(group, ["doctor"], env=environ)
    finally:
        allow(guarded, right, "worker")
    assert done.exit_code == 1
    assert f"a worker lacks: Write on topic {PREFIX}user-state\n" in done.output
    assert "mend: `forecart topics acls worker --principal User:worker` prints" in done.output
    wrong = {**environ, "FORECART_SASL_PASSWORD": "wr0ng-5ecret"}
    done = CliRunner().invoke(group, ["doctor"], env=wrong)
    assert done.exit_code == 1
    assert "does not know this name and password" in done.output
    assert "5ecret" not in done.output


def test_what_is_printed_is_what_is_needed() -> None:
    for role in ROLES:
        done = CliRunner().invoke(
            group, ["topics", "acls", role, "--set", f"topic_prefix={PREFIX}", "--principal", "U:x"]
        )
        lines = done.output.splitlines()
        rights = rights_of(role, PREFIX, "forecart")
        assert done.exit_code == 0
        assert len(lines) == len(rights)
        for line, right in zip(lines, rights, strict=True):
            words = line.split()
            operations = [words[at + 1] for at, word in enumerate(words) if word == "--operation"]
            assert tuple(operations) == right.operations
            assert words[words.index(f"--{right.kind}") + 1] == right.name
            assert ("prefixed" in words) == right.is_prefix
            assert "U:x" in words


def test_an_admin_answer_that_is_an_error_is_one_line(guarded: SecuredBroker) -> None:
    with pytest.raises(AccessError, match="does not allow it"):
        TopicAdmin(guarded.bootstrap, settings_of(guarded, "auditor")).apply()
