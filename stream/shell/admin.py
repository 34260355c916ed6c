"""Bring a broker's topics in line with the contract, and say where they are not.

Rules of the room: the table is stream/wire/topics.py, here is only how a broker is told. Topics
are created and their settings altered; the number of partitions of a topic that exists is never
changed, since every user would move. Every request has a deadline.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from stream.connection import (
    REACH_S,
    BrokerError,
    Complaints,
    is_denied,
    made,
    options,
    reach,
    refusal,
)
from stream.settings import Settings, SettingsError
from stream.shell.reader import NO_LEADER, quiet_logger
from stream.wire.rights import Right, rights_of
from stream.wire.topics import TABLE, Topic

REQUEST_S = 15.0
VISIBLE_POLL_S = 0.05
UNLED = NO_LEADER | frozenset({
    KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._TIMED_OUT,
})  # fmt: skip
FIXED = frozenset({"partitions", "replication"})  # of a topic that exists, to us


class TopicsError(SettingsError):
    """The broker's topics cannot be used as they are. The message says the cure."""

    def __init__(self, said: str, cure: str) -> None:
        super().__init__(f"{said}: {cure}")
        self.said = said
        self.cure = cure


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a topic is not what the contract says."""

    topic: str  # with the prefix
    what: str  # "missing", "partitions", "replication" or the name of a setting
    found: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as the broker has it."""

    partitions: int
    replication: int
    configs: dict[str, str]


class TopicAdmin:
    """Creates, alters, describes and deletes the topics of one deployment."""

    def __init__(self, bootstrap: str, settings: Settings, reach_s: float = REACH_S) -> None:
        """Connect. Raises BrokerError within `reach_s`."""
        self._bootstrap = bootstrap
        self._settings = settings
        complaints = Complaints()
        given = options(bootstrap, settings.security) | {"error_cb": complaints}
        self._admin = made(AdminClient, given, logger=quiet_logger())
        reach(self._admin, complaints, bootstrap, reach_s)

    def partitions(self) -> dict[str, int]:
        """Count the partitions of those of our topics that exist: needs Describe alone."""
        cluster = self._admin.list_topics(timeout=REQUEST_S)
        names = [self._settings.topic(topic.name) for topic in TABLE]
        return {name: len(cluster.topics[name].partitions) for name in names
                if name in cluster.topics}  # fmt: skip

    def denied(self) -> list[str]:
        """Name the rights of a worker that the broker says we lack, a line each.

        A broker without an authorizer lets everybody do everything, and says so.
        """
        settings = self._settings
        rights = rights_of("worker", settings.topic_prefix, settings.group)
        topics = {right.name: right for right in rights if right.kind == "topic"}
        wanted = self._admin.describe_topics(
            TopicCollection(list(topics)),
            include_authorized_operations=True,
            request_timeout=REQUEST_S,
        )
        lacking = [
            line for name, future in wanted.items() for line in _lacking(topics[name], future)
        ]
        groups = self._admin.describe_consumer_groups(
            [settings.group], include_authorized_operations=True, request_timeout=REQUEST_S
        )
        for right in rights:
            if right.kind == "group":
                lacking += _lacking(right, groups[right.name])
        return lacking

    def find(self) -> dict[str, Found]:
        """Describe those of our topics that exist, by their name on the broker."""
        cluster = self._admin.list_topics(timeout=REQUEST_S)
        ours = [self._settings.topic(topic.name) for topic in TABLE]
        resources = [ConfigResource(ResourceType.TOPIC, n) for n in ours if n in cluster.topics]
        if not resources:
            return {}
        answers = self._admin.describe_configs(resources, request_timeout=REQUEST_S)
        configs = {}
        for resource, future in answers.items():
            try:
                configs[resource.name] = future.result()
            except KafkaException as error:
                # Another broker answers than the one that listed: a new topic gets there later.
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise self._failed(error) from error
        found = {}
        for name, entries in configs.items():
            partitions = cluster.topics[name].partitions
            found[name] = Found(
                partitions=len(partitions),
                replication=min(len(part.replicas) for part in partitions.values()),
                configs={key: entry.value for key, entry in entries.items()},
            )
        return found

    def differences(self) -> list[Difference]:
        """Compare the broker with the contract."""
        found = self.find()
        differences: list[Difference] = []
        for topic in TABLE:
            name = self._settings.topic(topic.name)
            if name in found:
                differences += self._compare(name, topic, found[name])
            else:
                differences.append(Difference(name, "missing", "no topic", "a topic"))
        return differences

    def apply(self) -> list[str]:
        """Create and alter until the contract holds; say what was done, a line each.

        Raises TopicsError where that would take another number of partitions.
        """
        found = self.find()
        refuse_partitions(_counts(found), self._settings)
        done: list[str] = []
        missing = [t for t in TABLE if self._settings.topic(t.name) not in found]
        if missing:
            done += self._create(missing)
            self._wait("missing")
            self._wait_led([self._settings.topic(topic.name) for topic in missing])
            # Another process may have made some of them first, in its own way.
            found = self.find()
            refuse_partitions(_counts(found), self._settings)
        for topic in TABLE:
            name = self._settings.topic(topic.name)
            if name in found:
                done += self._alter(name, topic, found[name])
        if done:
            self._wait()
        return done

    def delete(self) -> list[str]:
        """Delete those of our topics that exist; returns their names."""
        names = list(self.find())
        if names:
            for future in self._admin.delete_topics(names, request_timeout=REQUEST_S).values():
                self._done(future)
        return names

    def _create(self, topics: Sequence[Topic]) -> list[str]:
        settings = self._settings
        wanted = [
            NewTopic(
                settings.topic(topic.name),
                num_partitions=settings.partitions,
                replication_factor=settings.replication,
                config=topic.configs(settings.replication),
            )
            for topic in topics
        ]
        done = []
        for name, future in self._admin.create_topics(wanted, request_timeout=REQUEST_S).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # a worker beside us
                    raise self._failed(error) from error
            else:
                done.append(f"created {name}: {settings.partitions} partitions")
        return done

    def _wait(self, what: str = "") -> None:
        """Wait until the broker shows what it has accepted: its answer comes before it does."""
        deadline_s = time.monotonic() + REQUEST_S
        while True:
            left = [
                difference
                for difference in self.differences()
                if difference.what == what or (not what and difference.what not in FIXED)
            ]
            if not left:
                return
            if time.monotonic() > deadline_s:
                raise BrokerError(
                    f"Kafka at {self._bootstrap} does not show within {REQUEST_S:.0f} s:"
                    f" {left[0].topic}: {left[0].what}"
                )
            time.sleep(VISIBLE_POLL_S)

    def _wait_led(self, names: Sequence[str]) -> None:
        """Wait until each partition answers for itself: listed is not yet led.

        A producer that writes before may lose its first records (IDEMPOTENT in
        stream/connection.py says why), the one with transactions too.
        """
        deadline_s = time.monotonic() + REQUEST_S
        left = {
            TopicPartition(name, number): OffsetSpec.latest()
            for name in names
            for number in range(self._settings.partitions)
        }
        while left:
            answers = self._admin.list_offsets(left, request_timeout=REQUEST_S)
            left = {place: OffsetSpec.latest() for place in left if not self._led(answers[place])}
            if left and time.monotonic() > deadline_s:
                place = next(iter(left))
                raise BrokerError(
                    f"Kafka at {self._bootstrap}: {place.topic}[{place.partition}] has no leader"
                    f" after {REQUEST_S:.0f} s"
                )
            if left:
                time.sleep(VISIBLE_POLL_S)

    def _led(self, future: Future[Any]) -> bool:
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() not in UNLED:
                raise self._failed(error) from error
            return False
        return True

    def _alter(self, name: str, topic: Topic, found: Found) -> list[str]:
        changes = [
            difference
            for difference in self._compare(name, topic, found)
            if difference.what not in FIXED
        ]
        if not changes:
            return []
        entries = [
            ConfigEntry(change.what, change.wanted, incremental_operation=AlterConfigOpType.SET)
            for change in changes
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        answers = self._admin.incremental_alter_configs([resource], request_timeout=REQUEST_S)
        for future in answers.values():
            self._done(future)
        return [f"altered {name}: {c.what} {c.found} -> {c.wanted}" for c in changes]

    def _compare(self, name: str, topic: Topic, found: Found) -> list[Difference]:
        settings = self._settings
        pairs = [
            ("partitions", str(found.partitions), str(settings.partitions)),
            ("replication", str(found.replication), str(settings.replication)),
        ]
        for key, wanted in topic.configs(settings.replication).items():
            pairs.append((key, found.configs.get(key, ""), wanted))
        return [
            Difference(name, what, have, wanted)
            for what, have, wanted in pairs
            if sorted(have.split(",")) != sorted(wanted.split(","))
        ]

    def _done(self, future: Future[Any]) -> Any:
        try:
            return future.result()
        except KafkaException as error:
            raise self._failed(error) from error

    def _failed(self, error: KafkaException) -> BrokerError:
        return refusal(self._bootstrap, error.args[0])


def _counts(found: Mapping[str, Found]) -> dict[str, int]:
    return {name: topic.partitions for name, topic in found.items()}


def _lacking(right: Right, future: Future[Any]) -> list[str]:
    """Compare a right with what the broker says is allowed; a broker that says nothing allows."""
    try:
        allowed = {operation.name for operation in future.result().authorized_operations or ()}
        missing = [each for each in right.operations if allowed and each.upper() not in allowed]
    except KafkaException as error:
        missing = list(right.operations) if is_denied(error.args[0]) else []
    return [f"{', '.join(missing)} on {right.kind} {right.name}"] if missing else []


def refuse_partitions(counts: Mapping[str, int], settings: Settings) -> None:
    """Raise TopicsError, with the cure, unless every topic has the partitions of the settings."""
    wrong = {name: count for name, count in counts.items() if count != settings.partitions}
    if not wrong:
        return
    listed = ", ".join(f"{name} has {count}" for name, count in sorted(wrong.items())[:3])
    listed += f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    same = set(counts.values())
    if len(same) == 1:
        cure = (
            f"run with --set partitions={same.pop()}, or take new topics with"
            " --set topic_prefix=NAME-"
        )
    else:
        most = max(counts.values())
        cure = (
            f"take new topics with --set topic_prefix=NAME-, or, before the first event is in them,"
            f" give each {most} partitions (`kafka-topics.sh --alter`) and --set partitions={most}"
        )
    raise TopicsError(
        f"partitions must be {settings.partitions} in every topic, since a user's events and state"
        f" share a number: {listed}. Partitions of a topic in use cannot be changed",
        cure,
    )
