"""The next fetch waits after a response that brought little, and only then."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import FetchResult
from faust.types import TP

from stream.shell.chunk import FetchedChunk
from stream.shell.pace import LITTLE_BYTES, Pace

CLICKS, SEARCHES = TP("clicks", 0), TP("searches", 0)


class Responses:
    """The part of aiokafka's Fetcher that is used: responses by partition, and who is told."""

    def __init__(self, *tps: TP) -> None:
        self._records = {
            tp: FetchResult(tp, assignment=None, partition_records=None, backoff=0.1) for tp in tps
        }
        self._wait_consume_future = object()
        self._client: Any = SimpleNamespace(cluster=self)
        self._in_flight: set[int] = set()
        self.told = 0

    def leader_for_partition(self, tp: TP) -> int | None:
        return {"orders": 2, "lost": -1, "unknown": None}.get(tp.topic, 1)

    def _notify(self, future: Any) -> None:
        assert future is self._wait_consume_future
        self.told += 1


def busy(wait_ms: int) -> Pace:
    """A pace whose last fetch was sent just now."""
    pace = Pace(wait_ms)
    pace._went_on_at = time.monotonic()
    return pace


def chunk(tp: TP, bytes_count: int = 200, left: int = 0) -> FetchedChunk:
    made = FetchedChunk(tp.topic, tp.partition, 5, 9 + left, 1)
    made.offset_next, made.bytes_count = 9, bytes_count
    return made


async def test_a_little_response_is_kept_for_so_long() -> None:
    pace, fetcher = busy(30), Responses(CLICKS, SEARCHES)
    kept = dict(fetcher._records)
    pace.drained(fetcher, kept, [chunk(CLICKS), chunk(SEARCHES)])
    assert fetcher._records == kept
    assert fetcher.told == 0
    assert all(pace.rests(tp, result) for tp, result in kept.items())
    await asyncio.sleep(0.01)
    assert all(result.calculate_backoff() > 0.1 for result in kept.values()), "no other fetch"
    await asyncio.sleep(0.05)
    assert fetcher._records == {}
    assert fetcher.told == 1
    assert not any(pace.rests(tp, result) for tp, result in kept.items())


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(CLICKS, LITTLE_BYTES)],
        [chunk(CLICKS, LITTLE_BYTES // 2), chunk(SEARCHES, LITTLE_BYTES // 2)],
        [chunk(CLICKS, left=1)],  # more lies on the broker
        [chunk(CLICKS), chunk(SEARCHES, left=1)],
    ],
    ids=["much", "much together", "more to come", "more to come of another"],
)
async def test_behind_much_the_next_fetch_is_sent_at_once(chunks: list[FetchedChunk]) -> None:
    pace, fetcher = busy(30), Responses(CLICKS)
    pace.drained(fetcher, dict(fetcher._records), chunks)
    assert fetcher._records == {}
    assert fetcher.told == 1


async def test_a_response_that_came_instead_is_not_forgotten() -> None:
    """After a seek or a rebalance."""
    pace, fetcher = busy(10), Responses(CLICKS)
    pace.drained(fetcher, dict(fetcher._records), [chunk(CLICKS)])
    another: Any = SimpleNamespace()
    fetcher._records[CLICKS] = another
    assert not pace.rests(CLICKS, another)
    await asyncio.sleep(0.03)
    assert fetcher._records == {CLICKS: another}


async def test_nothing_drained_tells_nobody() -> None:
    pace, fetcher = busy(10), Responses()
    pace.drained(fetcher, {}, [])
    await asyncio.sleep(0.03)
    assert fetcher.told == 0


async def test_the_first_after_a_pause_is_not_kept_but_the_second_is() -> None:
    pace, fetcher = Pace(30), Responses(CLICKS)
    pace.drained(fetcher, dict(fetcher._records), [chunk(CLICKS)])
    assert fetcher._records == {}
    assert fetcher.told == 1
    fetcher = Responses(SEARCHES)
    pace.drained(fetcher, dict(fetcher._records), [chunk(SEARCHES)])
    assert list(fetcher._records) == [SEARCHES]


async def test_all_topics_of_a_broker_rest_and_those_of_others_do_not() -> None:
    pace, fetcher = busy(30), Responses(CLICKS)
    before_ms = int(time.time() * 1000)
    pace.drained(fetcher, dict(fetcher._records), [chunk(CLICKS)])
    assert pace.rests_until_ms(fetcher, SEARCHES) >= before_ms + 30
    assert pace.rests_until_ms(fetcher, TP("orders", 0)) == 0
    pace.drained(fetcher, dict(fetcher._records), [chunk(CLICKS, LITTLE_BYTES)])
    assert pace.rests_until_ms(fetcher, SEARCHES) == 0, "it is asked again at once"


async def test_a_rest_that_is_over_is_over_whatever_the_clock_says() -> None:
    pace, fetcher = busy(10), Responses(CLICKS)
    pace.drained(fetcher, dict(fetcher._records), [chunk(CLICKS)])
    assert pace.rests_until_ms(fetcher, CLICKS) > 0
    await asyncio.sleep(0.03)
    assert pace.rests_until_ms(fetcher, CLICKS) == 0


async def test_a_broker_that_is_asked_for_something_else_does_not_rest() -> None:
    pace, fetcher = busy(10), Responses(CLICKS)
    fetcher._in_flight.add(1)
    pace.drained(fetcher, dict(fetcher._records), [chunk(CLICKS)])
    assert pace.rests_until_ms(fetcher, CLICKS) == 0


async def test_nothing_is_known_of_a_partition_without_a_leader() -> None:
    lost, unknown = TP("lost", 0), TP("unknown", 0)
    pace, fetcher = busy(10), Responses(lost, unknown)
    pace.drained(fetcher, dict(fetcher._records), [chunk(lost), chunk(unknown)])
    assert pace.rests_until_ms(fetcher, lost) == pace.rests_until_ms(fetcher, unknown) == 0
