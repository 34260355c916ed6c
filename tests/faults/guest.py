"""A guest of a workers' group: joins, so that all workers rejoin, and leaves again.

It speaks Faust's assignment protocol, does nothing with what it is given, and never leads: the
workers were there before. A guest of a topic of its own only makes workers hand over and take back;
one that subscribes to the workers' topics also takes a partition away and brings it back.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata


class _GuestAssignor(AbstractPartitionAssignor):
    name = "faust"
    version = 4

    @classmethod
    def assign(cls, cluster: Any, members: Any) -> Any:
        raise RuntimeError("the guest leads the group")

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        note = ClientMetadata(
            assignment=ClientAssignment(actives={}, standbys={}),
            url="http://guest",
            changelog_distribution={},
            external_topic_distribution={},
            topic_groups={},
        )
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), note.dumps())

    @classmethod
    def on_assignment(cls, assignment: Any) -> None:
        pass


@asynccontextmanager
async def visiting(
    bootstrap: str, group: str, topics: Iterable[str], session_s: float
) -> AsyncIterator[int]:
    """Be in the group; gives how many partitions came with it."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        partition_assignment_strategy=(_GuestAssignor,),
        session_timeout_ms=int(session_s * 1000),
        heartbeat_interval_ms=200,
        enable_auto_commit=False,
        fetch_max_bytes=1,
    )
    consumer.subscribe(list(topics))
    await consumer.start()
    try:
        yield len(consumer.assignment())
    finally:
        await consumer.stop()
