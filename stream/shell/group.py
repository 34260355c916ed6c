"""A worker's place in the consumer group, in the bytes in which librdkafka wants to hear of it.

Rules of the room: aiokafka is the group member, librdkafka commits the transaction (KIP-447); what
joins them is librdkafka's serialised group metadata, made here from aiokafka's coordinator. The
layout is librdkafka's private matter, so `check_group_metadata` compares it with a real one at
start. A place without generation is refused: the broker takes it for "no group" and checks nothing.
"""

import struct
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer

from stream.flow.stops import CommitFencedError, GroupMetadataError

MAGIC: Final = b"CGMDv2:"
NO_INSTANCE: Final = b"\x01"
SOME_INSTANCE: Final = b"\x00"


@dataclass(frozen=True, slots=True)
class Membership:
    """Group, generation, member and static instance of a worker."""

    group: str
    generation: int
    member_id: str
    instance_id: str | None

    def checked(self) -> "Membership":
        """Return it. Raises CommitFencedError if it is no membership."""
        if self.generation < 0 or not self.member_id:
            raise CommitFencedError(
                f"not a member of group {self.group}: generation {self.generation},"
                f" member {self.member_id!r}"
            )
        return self

    def serialised(self) -> bytes:
        """Write it as librdkafka's rd_kafka_consumer_group_metadata_write does."""
        instance = (
            NO_INSTANCE
            if self.instance_id is None
            else SOME_INSTANCE + self.instance_id.encode() + b"\0"
        )
        return b"".join((
            MAGIC, struct.pack("<i", self.generation), self.group.encode(), b"\0",
            self.member_id.encode(), b"\0", instance,
        ))  # fmt: skip


def check_group_metadata() -> None:
    """Compare the layout with real metadata; about 20 ms, no broker needed.

    Raises GroupMetadataError.
    """
    for instance_id in (None, "instance"):
        config = {"bootstrap.servers": "127.0.0.1:1", "group.id": "group", "log_level": 0}
        if instance_id is not None:
            config["group.instance.id"] = instance_id
        consumer = Consumer(config)
        try:
            real = consumer.consumer_group_metadata()
        finally:
            consumer.close()
        ours = Membership("group", -1, "", instance_id).serialised()
        if real != ours:
            raise GroupMetadataError(f"librdkafka's group metadata is {real!r}, not {ours!r}")
