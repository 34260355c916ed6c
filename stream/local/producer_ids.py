"""Ask a broker that has just started for one producer id, so that the next to ask gets one at once.

The first request of this kind to a fresh broker is answered "coordinator load in progress", and
librdkafka (2.16.1, an idempotent producer without transactions) has crashed the process on that, a
segmentation fault in its main thread. aiokafka takes it calmly. The crash has another way, too: the
benchmark's sender met it once more, on a fresh broker, after this was in place.
"""

import asyncio

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.transaction import InitProducerIdRequest

RETRY_S = 0.05


def claim_producer_id(bootstrap: str, deadline_s: float = 10.0) -> None:
    """Ask until one is given. Raises TimeoutError."""
    asyncio.run(asyncio.wait_for(_claim(bootstrap), deadline_s))


async def _claim(bootstrap: str) -> None:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        while True:
            request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
            try:
                answer = await client.send(client.get_random_node(), request)
            except KafkaError:
                answer = None
            if answer is not None and answer.error_code == 0:
                return
            await asyncio.sleep(RETRY_S)
    finally:
        await client.close()
