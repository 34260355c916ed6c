"""Checks that ask Kafka: it answers, topics, rights, where records lie, clocks.

Rules of the room: reads and describes only. What a role may not ask is said, and is no failure of
the deployment: a worker itself may not read the settings of topics.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stream.connection import AccessError, BrokerError
from stream.doctor.finding import Finding, forecart
from stream.local.kafka import EmbeddedKafkaError, resolve_broker
from stream.model.bundle import load_bundle
from stream.model.manifest import BundleError
from stream.model.shelf import Shelf
from stream.settings import Settings
from stream.shell.admin import FIXED, Difference, TopicAdmin, TopicsError, refuse_partitions
from stream.shell.control import read_control
from stream.shell.reader import Reader
from stream.wire.murmur2 import partition_of
from stream.wire.topics import CONTROL, INPUTS, TABLE

RECENT_RECORDS: Final = 200  # looked at in each input partition
# With a wrong key or place, in a topic; more is a publisher's setting.
STRAY_SHARE_MAX: Final = 0.01
STRAYS_MAX: Final = 2  # up to so many also where they are more than that, of ten each
FIRST_NAMED: Final = 3  # in each topic
STALL_S: Final = 5.0
CLOCK_MS_MAX: Final = 2_000  # between a record's time and this machine's
AFTER_BROKER: Final = ("topics", "rights", "model", "records", "clock")


@dataclass(frozen=True, slots=True)
class Asked:
    """Open connections, and the newest record times when they were opened."""

    admin: TopicAdmin
    reader: Reader
    inputs: list[str]  # those that exist
    newest_ms: dict[tuple[str, int], int]


@dataclass(slots=True)
class Seen:
    """Of the last records of an input topic; strays by name."""

    looked: int = 0
    keyless: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


def broker_findings(settings: Settings) -> Iterator[Finding]:
    """Look at everything that the broker can tell."""
    began = time.monotonic()
    try:
        bootstrap = resolve_broker(settings)
        admin = TopicAdmin(bootstrap, settings)
        answered_ms = (time.monotonic() - began) * 1000
        with Reader(bootstrap, settings.security) as reader:
            yield Finding("broker", "ok", f"{bootstrap} answers, within {answered_ms:.0f} ms")
            yield from _of_answering(settings, admin, reader)
    except (EmbeddedKafkaError, BrokerError) as error:
        said = error.said if isinstance(error, BrokerError) else str(error)
        yield Finding("broker", "fail", said, _broker_cure(error, settings))
        for check in AFTER_BROKER:
            yield Finding(check, "warn", "not looked at: no broker")


def _of_answering(settings: Settings, admin: TopicAdmin, reader: Reader) -> Iterator[Finding]:
    counts = admin.partitions()
    inputs = [name for name in map(settings.topic, INPUTS) if name in counts]
    asked = Asked(admin, reader, inputs, reader.newest_ms(inputs))
    for check, look in (
        ("topics", _topics),
        ("rights", _rights),
        ("model", _model),
        ("records", _records),
        ("clock", _clock),
    ):
        try:
            yield from look(settings, asked)
        except (BrokerError, TimeoutError) as error:
            denied = isinstance(error, AccessError)
            cure = forecart("topics acls worker", settings) if denied else "see the broker's log"
            yield Finding(check, "fail", str(error), cure)


def _broker_cure(error: Exception, settings: Settings) -> str:
    if isinstance(error, AccessError):
        return (
            "set what docs/security.md names: security_protocol, sasl_username, sasl_password_file,"
            " ssl_ca_file"
        )
    if not settings.broker:
        return "`forecart kafka up`, or name another with --broker HOST:PORT"
    return f"start Kafka at {settings.broker}, or name another with --broker HOST:PORT"


def _topics(settings: Settings, asked: Asked) -> Iterator[Finding]:
    counts = asked.admin.partitions()
    missing = [name for name in (settings.topic(t.name) for t in TABLE) if name not in counts]
    wrong = list(_partitions(settings, counts))
    yield from wrong
    if missing:
        cure = forecart("topics apply", settings)
        yield Finding("topics", "fail", f"missing: {', '.join(missing)}", cure)
    try:
        differences = asked.admin.differences()
    except AccessError:
        said = "partitions are right; settings not compared: no right DescribeConfigs (operator)"
        if not wrong and not missing:
            yield Finding("topics", "ok", said)
        return
    others = [d for d in differences if d.what not in {"partitions", "missing"}]
    yield from (_difference(settings, difference) for difference in others)
    if not wrong and not missing and not others:
        said = f"{len(counts)} topics of {settings.partitions} partitions are as the contract says"
        yield Finding("topics", "ok", said)


def _partitions(settings: Settings, counts: dict[str, int]) -> Iterator[Finding]:
    try:
        refuse_partitions(counts, settings)
    except TopicsError as error:
        yield Finding("topics", "fail", error.said, error.cure)


def _difference(settings: Settings, difference: Difference) -> Finding:
    said = (
        f"{difference.topic}: {difference.what} is {difference.found or 'not set'},"
        f" should be {difference.wanted}"
    )
    if difference.what in FIXED:
        return Finding("topics", "warn", said, "`kafka-reassign-partitions.sh`, or --set"
                       f" {difference.what}={difference.found}")  # fmt: skip
    return Finding("topics", "fail", said, forecart("topics apply", settings))


def _rights(settings: Settings, asked: Asked) -> Iterator[Finding]:
    who = f"User:{settings.sasl_username or 'ANONYMOUS'}"
    denied = asked.admin.denied()
    if denied:
        cure = forecart(f"topics acls worker --principal {who}", settings) + " prints the commands"
        yield Finding("rights", "fail", f"a worker lacks: {'; '.join(denied)}", cure)
    else:
        yield Finding("rights", "ok", f"{who} may do on topics and group what a worker does")


def _model(settings: Settings, asked: Asked) -> Iterator[Finding]:
    """Open what model-control names, as a worker would at its start."""
    topic = settings.topic(CONTROL)
    if topic not in asked.admin.partitions():
        return  # said by the topics
    record, _ = read_control(asked.reader.bootstrap, topic, settings.model_name, settings.security)
    if record is None:
        said = "model-control names none: the bundle above serves"
        yield Finding("model", "ok", said)
        return
    shelf = Shelf(settings.models_path, [Path(settings.bundle)] if settings.bundle else [])
    try:
        folder = shelf.find(record.active)
        load_bundle(folder, settings.window_steps, settings.bundle_public_key_file)
    except BundleError as error:
        said = f"{record.active} cannot serve here, the bundle above does: {error}"
        cure = f"copy it to {settings.models_path}, or " + forecart("model rollback", settings)
        yield Finding("model", "fail", said, cure)
    else:
        yield Finding("model", "ok", f"{record.active} serves, from {folder}")


def _records(settings: Settings, asked: Asked) -> Iterator[Finding]:
    """Look whether the last records are where murmur2 of their key puts them."""
    seen = {topic: Seen() for topic in asked.inputs}
    ends = asked.reader.ranges(asked.inputs)
    recent = {
        place: (max(first, end - RECENT_RECORDS), end) for place, (first, end) in ends.items()
    }
    for record in asked.reader.records(recent, STALL_S):
        of_topic = seen[record.topic]
        of_topic.looked += 1
        place = f"{record.topic}-{record.partition}-{record.offset}"
        if record.key is None:
            of_topic.keyless.append(f"{place} has no key")
            continue
        right = partition_of(record.key, asked.reader.partitions(record.topic))
        if right != record.partition:
            of_topic.elsewhere.append(f"{place} belongs to partition {right}")
    yield from record_findings(settings, seen)


def record_findings(settings: Settings, seen: Mapping[str, Seen]) -> Iterator[Finding]:
    """Judge what was seen, by topic. Few strays are a warning, and become dead letters.

    Whoever publishes with another partitioner misplaces half of a topic's records or more.
    """
    looked = sum(of_topic.looked for of_topic in seen.values())
    stays = f"This line stays until {RECENT_RECORDS} newer ones lie in the partition"
    for places, fault, cure in (
        (
            {topic: of_topic.elsewhere for topic, of_topic in seen.items()},
            "are not where murmur2 of their key puts them",
            "with librdkafka partitioner=murmur2_random in the publisher; then "
            + forecart("dlq replay --reason wrong_partition --yes", settings),
        ),
        (
            {topic: of_topic.keyless for topic, of_topic in seen.items()},
            "have no key",
            "key = user_id, or anon: and the anonymous_id, in the publisher, which must send again",
        ),
    ):
        strays = [(topic, names) for topic, names in places.items() if names]
        if not strays:
            continue
        are_few = all(_are_few(len(names), seen[topic].looked) for topic, names in strays)
        counts = [f"{len(names)} of {seen[topic].looked} in {topic}" for topic, names in strays]
        first = [name for _, names in strays for name in names[:FIRST_NAMED]]
        said = (
            f"{', '.join(counts)} (the last {RECENT_RECORDS} records of each partition)"
            f" {fault} and become dead letters: {', '.join(first)}"
        )
        some = "few: `forecart simulate` sends such on purpose (--poison). Else " if are_few else ""
        yield Finding("records", "warn" if are_few else "fail", said, f"{some}{cure}. {stays}")
    if any(of_topic.keyless or of_topic.elsewhere for of_topic in seen.values()):
        return
    if looked:
        yield Finding("records", "ok", f"{looked} recent records are where murmur2 puts their keys")
    else:
        yield Finding("records", "ok", "the inputs hold no record yet: nothing to judge")


def _are_few(strays: int, looked: int) -> bool:
    return strays <= looked * STRAY_SHARE_MAX or strays <= min(STRAYS_MAX, looked // 10)


def _clock(settings: Settings, asked: Asked) -> Iterator[Finding]:
    """Compare this clock with the time of records; of those that come while we look, both ways."""
    del settings
    cure = "`timedatectl status` here, on the broker and where events are published"
    now_ms = time.time() * 1000
    before = asked.newest_ms
    newest_ms = asked.reader.newest_ms(asked.inputs)
    if not newest_ms:
        yield Finding("clock", "ok", "the inputs hold no record yet: nothing to compare with")
        return
    age_ms = now_ms - max(newest_ms.values())
    fresh = [time_ms for place, time_ms in newest_ms.items() if time_ms > before.get(place, 0)]
    if age_ms < -CLOCK_MS_MAX:
        said = f"the newest record is {-age_ms / 1000:.1f} s in the future of this clock"
        yield Finding("clock", "fail", said, cure)
    elif fresh and now_ms - max(fresh) > CLOCK_MS_MAX + STALL_S * 1000:
        said = f"records that come now bear a time of {age_ms / 1000:.1f} s ago: this clock is"
        yield Finding("clock", "warn", said + " ahead, or an old log is replayed", cure)
    elif fresh:
        yield Finding("clock", "ok", f"records that come now are {abs(age_ms) / 1000:.1f} s old")
    else:
        said = f"the newest record is {age_ms / 1000:.0f} s old; none came while looking"
        yield Finding("clock", "ok", said + ", so a clock that is ahead would not show")
