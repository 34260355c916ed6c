"""What the metrics hear: how old the oldest record is, and how often the merge gave up waiting."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from stream.flow.buffer import TopicBuffer
from stream.flow.gauges import Gauges
from stream.shell.metrics import Metrics
from stream.wire.decode import Decoder
from tests.flow.fakes import FakeChunk
from tests.flow.logs import shop_log
from tests.flow.test_worker import play
from tests.oracle.int_scorer import IntScorer


def chunk(first: int, timestamp_ms: int, rows: int = 2) -> FakeChunk:
    return FakeChunk(
        "clicks", 0, first, [(b"u", b"{}")] * rows, first + rows, timestamp_ms=timestamp_ms
    )


@pytest.mark.parametrize("at_once", [0, 64])
def test_the_oldest_record_is_the_one_at_the_head_decoded_or_not(at_once: int) -> None:
    buffer = TopicBuffer(0, "clicks", 0, 0)
    assert buffer.oldest_ms == 0
    buffer.append(chunk(0, 1_000))
    buffer.append(chunk(2, 2_000))
    assert buffer.oldest_ms == 1_000
    with ThreadPoolExecutor(1) as pool:
        buffer.fill(Decoder(1, 1 << 20), pool, rows_max=2, at_once_rows_max=at_once)
        assert buffer.oldest_ms == 1_000
        buffer.take(1)
        assert buffer.oldest_ms == 1_000
        buffer.take(1)
        buffer.fill(Decoder(1, 1 << 20), pool, rows_max=2, at_once_rows_max=at_once)
        assert buffer.oldest_ms == 2_000
        buffer.take(2)
        assert buffer.oldest_ms == 0


def test_a_record_without_a_time_tells_no_age():
    buffer = TopicBuffer(0, "clicks", 0, 0)
    buffer.append(chunk(0, -1))
    assert buffer.oldest_ms == 0


def test_chunks_that_come_while_rows_are_taken_are_all_counted():
    """Else what waits looks like little, and is not decoded ahead."""
    chunks = [chunk(offset, 0, rows=1) for offset in range(60_000)]
    buffer = TopicBuffer(0, "clicks", 0, 0)
    buffer.rows_count = len(chunks)  # of which all are taken
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        both = threading.Barrier(2)

        def add() -> None:
            both.wait()
            for one in chunks:
                buffer.append(one)

        adding = threading.Thread(target=add)
        adding.start()
        both.wait()
        for _ in chunks:
            buffer.take(1)
        adding.join()
    finally:
        sys.setswitchinterval(interval_s)
    assert buffer.rows_count == len(chunks)


def test_holds_are_counted_once_and_go_on_after_a_rebalance():
    metrics = Metrics(partitions=2)
    gauges = Gauges(metrics)
    told = lambda topic, number: metrics.series.number(  # noqa: E731
        "merge_holds_over_total", (topic, str(number))
    )
    for number, holds_over in (
        (0, [0, 0, 0]), (0, [2, 0, 0]), (0, [2, 0, 1]), (1, [1, 0, 0]), (0, [5, 0, 1])
    ):  # fmt: skip
        gauges.tell_holds(number, holds_over)
    assert (told("clicks", 0), told("purchases", 0), told("clicks", 1)) == (5, 1, 1)
    gauges.tell_holds(0, [1, 0, 0])  # handed over and taken again: it counts from 0
    assert (told("clicks", 0), told("purchases", 0), told("clicks", 1)) == (6, 1, 1)


class Padding(IntScorer):
    """Says that it padded."""

    padded_steps = 3


async def test_padded_steps_are_counted():
    rig = await play(shop_log(3, 100), 50, Padding())
    count = rig.metrics.series.buckets("inference_batch_size")[1].sum()
    assert count > 0
    assert rig.metrics.series.number("inference_padded_steps_total") == 3 * count
