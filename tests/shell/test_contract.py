"""The private names of Faust, mode, aiokafka and librdkafka that this room uses, by version.

When a version changes, this file says what to look at again. Behaviour that only a broker shows is
in the other tests of this room.
"""

import importlib.metadata
import inspect
from typing import Any

import aiokafka
import confluent_kafka
import faust
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import (
    Assignment,
    SubscriptionState,
    TopicPartitionState,
)
from aiokafka.record._crecords.default_records import DefaultRecordBatch
from aiokafka.structs import TopicPartition
from faust.app.base import App
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.threads import WorkerThread

from stream.shell.batches import KeptRecords
from stream.shell.chunk_thread import ChunkThread
from stream.shell.group import Membership, check_group_metadata
from stream.shell.recovery import ChunkRecovery, ChunkTableManager
from stream.shell.table import UserTable
from stream.shell.transport import ChunkConsumer


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("faust-streaming", "0.15.3"),
        ("mode-streaming", "0.7.1"),
        ("aiokafka", "0.14.0"),
        ("confluent-kafka", "2.16.1"),
    ],
)
def test_versions(package: str, version: str) -> None:
    assert importlib.metadata.version(package) == version


def test_librdkafka_lays_out_group_metadata_as_we_do() -> None:
    assert confluent_kafka.libversion()[0] == "2.16.0"
    check_group_metadata()
    here = Membership("g", 7, "member", "instance").serialised()
    assert here == b"CGMDv2:\x07\x00\x00\x00g\x00member\x00\x00instance\x00"
    assert Membership("g", 7, "member", None).serialised().endswith(b"member\x00\x01")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ChunkThread._fetch_records, driver.AIOKafkaConsumerThread._fetch_records),
        (ChunkThread._highwaters, driver.AIOKafkaConsumerThread._highwaters),
        (
            ChunkThread._create_worker_consumer,
            driver.AIOKafkaConsumerThread._create_worker_consumer,
        ),
        (ChunkThread.on_partitions_assigned, faust_consumer.ConsumerThread.on_partitions_assigned),
        (ChunkThread.verify_event_path, driver.AIOKafkaConsumerThread.verify_event_path),
        (
            ChunkThread.verify_recovery_event_path,
            driver.AIOKafkaConsumerThread.verify_recovery_event_path,
        ),
        (ChunkThread.__post_init__, driver.AIOKafkaConsumerThread.__post_init__),
        (ChunkConsumer._new_consumer_thread, driver.Consumer._new_consumer_thread),
        (ChunkConsumer._to_message, driver.Consumer._to_message),
        (ChunkConsumer._drain_messages, faust_consumer.Consumer._drain_messages),
        (ChunkConsumer._wait_next_records, faust_consumer.Consumer._wait_next_records),
        (ChunkConsumer.highwater, faust_consumer.ThreadDelegateConsumer.highwater),
        (ChunkConsumer.on_buffer_drop, faust_consumer.Consumer.on_buffer_drop),
        (ChunkConsumer.resume_partitions, faust_consumer.Consumer.resume_partitions),
        (ChunkConsumer.perform_seek, faust_consumer.Consumer.perform_seek),
        (ChunkConsumer._commit, faust_consumer.ThreadDelegateConsumer._commit),
        (ChunkConsumer.wait_empty, faust_consumer.Consumer.wait_empty),
        (ChunkConsumer.on_partitions_assigned, faust_consumer.Consumer.on_partitions_assigned),
        (ChunkConsumer.on_partitions_revoked, faust_consumer.Consumer.on_partitions_revoked),
        (ChunkConsumer.on_stop, driver.Consumer.on_stop),
        (ChunkRecovery._set_recovery_started, Recovery._set_recovery_started),
        (ChunkRecovery._seek_offsets, Recovery._seek_offsets),
        (ChunkRecovery.on_recovery_completed, Recovery.on_recovery_completed),
        (ChunkTableManager.on_start, TableManager.on_start),
        (ChunkTableManager.on_rebalance, TableManager.on_rebalance),
        (UserTable.persisted_offset, Collection.persisted_offset),
        (UserTable.on_rebalance, Collection.on_rebalance),
        (UserTable.on_recovery_completed, Collection.on_recovery_completed),
        (UserTable.need_active_standby_for, Collection.need_active_standby_for),
        (UserTable.apply_changelog_batch, Collection.apply_changelog_batch),
    ],
    ids=lambda function: getattr(function, "__qualname__", ""),
)
def test_overrides_have_their_parents_parameters(ours: Any, theirs: Any) -> None:
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
    assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (Fetcher, "_notify _create_fetch_waiter seek_to end_offsets beginning_offsets"),
        (FetchResult, "_update_position getall has_more calculate_backoff"),
        (PartitionRecords, "_consume_aborted_up_to _contains_abort_marker _unpack_records"),
        (GroupCoordinator, "check_errors fetch_committed_offsets request_rejoin"),
        (SubscriptionState, "fetch_context reassignment_in_progress is_assigned"),
        (Assignment, "state_value active"),
        (TopicPartitionState, "pause resume"),
        (ClusterMetadata, "leader_for_partition"),
        (aiokafka.AIOKafkaConsumer,
         "seek_to_committed beginning_offsets partitions_for_topic assignment"),
        (DefaultRecordBatch, ("validate_crc is_control_batch is_transactional producer_id"
           " base_offset next_offset max_timestamp")),
        (Recovery, ("_slurp_changelogs _restart_recovery _set_recovery_ended need_recovery"
           " active_remaining standby_remaining_total signal_recovery_start signal_recovery_end")),
        (TableManager, "_update_channels changelog_topics on_standbys_ready"),
        (App, "_new_transport _create_directories _on_partitions_revoked"),
        (driver.Consumer, ("commit_and_end_transactions stop_flow resume_flow assignment"
           " _is_changelog_tp _get_active_partitions")),
        (driver.AIOKafkaConsumerThread, "call_thread Worker _ensure_consumer"),
        (confluent_kafka.Producer, ("init_transactions begin_transaction commit_transaction"
           " abort_transaction send_offsets_to_transaction produce flush poll close")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_names_are_there(owner: Any, names: str) -> None:
    assert [name for name in names.split() if not hasattr(owner, name)] == []


def test_attributes_set_in_constructors_are_there() -> None:
    """Names that only exist on instances, looked for in the source that makes them."""
    for owner, names in (
        (Fetcher, ("_client _in_flight _records _subscriptions _wait_consume_future _fetch_waiters"
           " _isolation_level _closed")),
        (FetchResult, "_partition_records _assignment _backoff _created"),
        (PartitionRecords, ("_records _check_crcs _isolation_level _aborted_producers"
           " next_fetch_offset")),
        (TopicPartitionState, "lso highwater _position"),
        (GroupCoordinator, "_coordination_task generation member_id"),
        (aiokafka.AIOKafkaConsumer, ("_isolation_level _fetch_max_wait_ms _fetch_max_bytes"
           " _fetch_min_bytes _coordinator _fetcher _client _subscription _request_timeout_ms"
           " _closed")),
        (AIOKafkaClient, "cluster"),
        (faust_consumer.Consumer, "_read_offset _committed_offset _unacked_messages"),
        (Recovery, ("active_tps standby_tps active_offsets standby_offsets tp_to_table"
           " _active_events_received_at _standby_events_received_at")),
        (WorkerThread, "daemon"),
    ):  # fmt: skip
        source = "".join(inspect.getsource(base) for base in owner.__mro__ if base is not object)
        assert [name for name in names.split() if f"self.{name}" not in source] == [], owner


def test_aiokafka_makes_our_records() -> None:
    assert aiokafka_fetcher.MemoryRecords is KeptRecords
    assert "MemoryRecords(part_data[-1])" in inspect.getsource(Fetcher._proc_fetch_request)
    assert READ_UNCOMMITTED == 0


def test_faust_and_aiokafka_name_partitions_alike() -> None:
    """So a set or a dict of the one finds the other."""
    assert TopicPartition("clicks", 3) == TP("clicks", 3)
    assert hash(TopicPartition("clicks", 3)) == hash(TP("clicks", 3))


def test_faust_still_has_what_is_worked_around() -> None:
    """Each of these gone is an override that can go."""
    create = inspect.getsource(driver.AIOKafkaConsumerThread._create_worker_consumer)
    assert "fetch_max_wait_ms=1500" in create
    assert "await self.sleep(1)" in inspect.getsource(faust_consumer.Consumer._wait_next_records)
    assert "await self.sleep(1.0)" in inspect.getsource(TableManager.on_start)
    completed = inspect.getsource(Recovery.on_recovery_completed)
    assert completed.index("resume_partitions") < completed.index("perform_seek")
    assert "maxsize=maxsize" not in inspect.getsource(faust.App.topic)
