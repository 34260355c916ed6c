"""The transport, table and transaction together, on a real broker, with a toy flow."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.kafka_tools import produce, read_all
from tests.shell.toy import INPUTS, ToyWorker, wait_for

pytestmark = pytest.mark.kafka

PARTITIONS = 4
USERS = 37


@pytest.fixture
def names(make_topics: Callable[..., dict[str, str]]) -> Mapping[str, str]:
    made = make_topics([*INPUTS, "out", "stock"], PARTITIONS, {"retention.ms": "-1"})
    return {**made, **make_topics(["user-state"], PARTITIONS, {"cleanup.policy": "compact"})}


def feed(kafka: str, names: Mapping[str, str], count: int, first: int = 0) -> None:
    """Write `count` records to each input, a user always to the same partition."""
    for topic in INPUTS:
        rows = [(b"user-%d" % (n % USERS), b"%d" % n) for n in range(first, first + count)]
        produce(kafka, names[topic], rows)


def check_exactly_once(kafka: str, names: Mapping[str, str], total: int) -> None:
    """Each input record has one output, each user's counter runs 1..k, state is the last one."""
    seen: set[tuple[str, int, int]] = set()
    counters: dict[str, list[int]] = defaultdict(list)
    for message in read_all(kafka, names["out"]):
        topic, partition, offset, user, count = json.loads(message.value())
        assert message.partition() == partition
        assert (topic, partition, offset) not in seen
        seen.add((topic, partition, offset))
        counters[user].append(count)
    assert len(seen) == total
    assert all(counts == list(range(1, len(counts) + 1)) for counts in counters.values())
    state = {m.key(): m.value() for m in read_all(kafka, names["user-state"])}
    assert {user: len(counts) for user, counts in counters.items()} == {
        key.decode(): int(value) for key, value in state.items() if key.startswith(b"user")
    }


def outputs_count(workers: list[ToyWorker]) -> int:
    return sum(sum(c.values()) for w in workers for p, c in w.store.counts.items()
               if p in w.flow.next)  # fmt: skip


async def test_chunks_tile_and_state_is_exact(kafka: str, names: Any, topic_prefix: str) -> None:
    feed(kafka, names, 500)
    worker = ToyWorker(kafka, names, 0, topic_prefix + "g")
    await worker.start()
    try:
        await wait_for(lambda: outputs_count([worker]) == 1500, "1500 records")
        feed(kafka, names, 100, 500)
        await wait_for(lambda: outputs_count([worker]) == 1800, "1800 records")
    finally:
        await worker.stop()
    assert worker.app.failure is None
    check_exactly_once(kafka, names, 1800)
    tiles: dict[tuple[str, int], int] = Counter()
    for topic, partition, first, after, end in worker.flow.chunks:
        assert first == tiles[topic, partition]
        assert after <= end
        tiles[topic, partition] = after
    assert sum(tiles.values()) == 1800
    assert worker.flow.revocations == [frozenset(range(PARTITIONS))]
