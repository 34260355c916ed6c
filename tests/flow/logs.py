"""Small logs of a simulated shop, one partition, as lists of records per topic. Synthetic."""

from stream.core.layout import TOPICS
from stream.local.shop import Shop
from stream.local.shop_faults import FaultRates
from tests.flow.fakes import WRITTEN_MS, FakeChunk, Record

Log = tuple[list[Record], list[Record], list[Record]]


def shop_log(seed: int, events_max: int, users: int = 20) -> Log:
    """Take the first events of a shop, faults and all, but wrong partitions."""
    rates = FaultRates(duplicates=0.05, late=0.05, bots=0.01, poison=0.02, future=0.005)
    log: Log = ([], [], [])
    count = 0
    for block in Shop(seed=seed, users=users, items=60, days=30, faults=rates).events():
        for topic, key, value in zip(block.topic.tolist(), block.keys, block.values, strict=True):
            log[topic].append((key, value))
            count += 1
            if count == events_max:
                return log
    return log


def chunks_of(
    log: Log, sizes: int, received_ms: int = 0, written_ms: int = WRITTEN_MS
) -> list[FakeChunk]:
    """Cut each topic into chunks of `sizes` records; every one knows the end of the log."""
    chunks = []
    for topic, records in enumerate(log):
        for first in range(0, max(1, len(records)), sizes):
            part = records[first : first + sizes]
            chunk = FakeChunk(TOPICS[topic], 0, first, part, len(records), received_ms)
            chunk.timestamp_ms = written_ms
            chunks.append(chunk)
    return chunks
