"""What the merge waits for, with chunks that come while it looks."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stream.core.layout import TOPICS
from stream.flow.buffer import TopicBuffer
from stream.flow.order import Order
from stream.wire.decode import Decoded, Decoder
from tests.flow.fakes import FakeChunk
from tests.flow.logs import shop_log


def test_a_chunk_that_comes_while_others_are_decoded_is_waited_for() -> None:
    """Its topic rests, since all of its response is drained; but it is not at the front yet."""
    log, now_ms = shop_log(10, 300), int(time.time() * 1000)
    buffers = [TopicBuffer(topic, name, 0, 0) for topic, name in enumerate(TOPICS)]
    chunks = [
        FakeChunk(name, 0, 0, records, len(records), received_ms=now_ms)
        for name, records in zip(TOPICS, log, strict=True)
    ]

    class Slow(Decoder):
        def decode(self, topic: int, *rest: Any) -> Decoded:
            if topic == 2:
                buffers[1].append(chunks[1])
            return super().decode(topic, *rest)

    def rests(name: str, _: int, position: int, __: int) -> bool:
        return position == len(log[TOPICS.index(name)])

    with ThreadPoolExecutor(1) as pool:
        order = Order(Slow(1), pool, 700, 10_000, 300_000, 1_000, rests)
        buffers[0].append(chunks[0])
        buffers[2].append(chunks[2])
        assert order.take(buffers, 1_000, now_ms) is None
        taken = order.take(buffers, 1_000, now_ms)
    assert taken is not None
    assert set(taken[1].topics.tolist()) == {0, 1, 2}
