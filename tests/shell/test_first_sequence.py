"""Why producers without transactions have one request under way, and that all obey.

KAFKA-15591: a partition without producer state takes any first sequence number. When a broker
refuses it, the first test goes red, and the limit in stream/connection.py may go.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import OutOfOrderSequenceNumber
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from stream.connection import IDEMPOTENT


def _batch(producer_id: int, epoch: int, sequence: int) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=producer_id,
        producer_epoch=epoch, base_sequence=sequence, batch_size=1 << 16,
    )  # fmt: skip
    builder.append(0, timestamp=1, key=None, value=b"%d" % sequence, headers=[])
    return bytes(builder.build())


@pytest.mark.kafka
async def test_a_fresh_partition_takes_the_second_request_and_refuses_the_first(
    kafka: str, make_topics: Callable[..., dict[str, str]]
) -> None:
    topic = make_topics(["fresh"], 1)["fresh"]
    client = AIOKafkaClient(bootstrap_servers=kafka)
    await client.bootstrap()
    try:
        node = client.get_random_node()
        asked = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
        for _ in range(100):  # a broker that has just started still loads
            given = await client.send(node, asked)
            if not given.error_code:
                break
            await asyncio.sleep(0.1)
        codes = []
        for sequence in (1, 0):
            records = _batch(given.producer_id, given.producer_epoch, sequence)
            request = ProduceRequest(
                transactional_id=None, required_acks=-1, timeout=10_000,
                topics=[(topic, [(0, records)])],
            )  # fmt: skip
            answer = await client.send(node, request)
            codes.append(answer.topics[0][1][0][1])
    finally:
        await client.close()
    assert codes == [0, OutOfOrderSequenceNumber.errno]


def test_every_producer_without_transactions_obeys() -> None:
    assert IDEMPOTENT["max.in.flight.requests.per.connection"] == 1
    named = {
        path.as_posix()
        for path in Path("stream").rglob("*.py")
        if re.search(r'"enable\.idempotence"', path.read_text())
    }
    # The transaction's own settings; stream/shell/direct.py puts IDEMPOTENT on top of them.
    assert named == {"stream/connection.py", "stream/shell/producer.py"}
