"""The worker over fakes: every row once, in one order, whatever the chunks and the revokes."""

import asyncio
import json
import threading
import time
from collections.abc import Callable

import pytest

from stream.core.layout import TOPICS
from stream.core.plan import Scorer
from stream.flow.stops import EngineError, HoleError
from tests.flow.fakes import WRITTEN_MS, FakeChunk, FakeTransaction, Rig, make_rig
from tests.flow.logs import Log, chunks_of, shop_log
from tests.oracle.int_scorer import IntScorer

START = {0: dict.fromkeys(TOPICS, 0)}


async def until(condition: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        await asyncio.sleep(0.005)


def done(rig: Rig, log: Log) -> bool:
    wanted = {(TOPICS[topic], 0): len(records) for topic, records in enumerate(log)}
    return rig.transaction.offsets == wanted


async def play(
    log: Log, size: int, scorer: Scorer | None = None,
    written_ms: int = WRITTEN_MS, **changed: int,
) -> Rig:  # fmt: skip
    rig = make_rig(scorer or IntScorer(), **changed)
    rig.worker.start()
    await rig.worker.on_assigned(START)
    for chunk in chunks_of(log, size, written_ms=written_ms):
        rig.worker.on_chunk(chunk)
    await until(lambda: done(rig, log) or bool(rig.failures), "the whole log to be committed")
    rig.worker.stop(5)
    assert rig.failures == []
    return rig


def outcomes(rig: Rig) -> list[object]:
    """Everything published but for wall clocks: predictions, alerts, dead letters in order."""
    found = []
    for name in ("predictions", "churn-alerts"):
        for value in rig.transaction.values(name):
            assert value is not None
            message = json.loads(value)
            message.pop("emitted_at", None)
            found.append(message)
    return [*found, *rig.transaction.values("dead-letters")]


def state(rig: Rig) -> dict[bytes, bytes | None]:
    """The changelog, compacted, without the header."""
    rows = {key: value for name, _, key, value in rig.transaction.committed if name == "state"}
    return {key: value for key, value in rows.items() if key is not None and key[0] != 0}


async def test_one_chunk_and_record_by_record_give_the_same() -> None:
    log = shop_log(3, 600)
    whole = await play(log, 10_000)
    single = await play(log, 1, batch_events_max=1, commit_interval_s=0.01)
    odd = await play(log, 17, batch_events_max=13)
    assert outcomes(whole) == outcomes(single) == outcomes(odd)
    assert {k: v for k, v in state(whole).items() if v} == {
        k: v for k, v in state(single).items() if v
    }
    assert len(whole.transaction.values("predictions")) > 400


async def test_receipts_tile_and_account_for_every_row() -> None:
    log = shop_log(4, 800)
    rig = await play(log, 50)
    receipts = [json.loads(value or b"") for value in rig.transaction.values("receipts")]
    for topic, name in enumerate(TOPICS):
        mine = [r for r in receipts if r["topic"] == name]
        ends = [0, *(r["offset_next"] for r in mine)]
        assert [r["offset_first"] for r in mine] == ends[:-1]
        assert ends[-1] == len(log[topic])
        counted = sum(r["predicted"] + len(r["exceptions"]) for r in mine)
        assert counted == len(log[topic])
    predicted = sum(r["predicted"] for r in receipts)
    assert predicted == len(rig.transaction.values("predictions"))


async def test_revoke_with_half_full_buffers_goes_on_where_it_stood() -> None:
    log = shop_log(5, 900)
    reference = await play(log, 10_000)
    rig = make_rig(IntScorer())
    rig.worker.start()
    await rig.worker.on_assigned(START)
    halves = [chunk for chunk in chunks_of(log, 40) if chunk.offset_next <= 200]
    for chunk in halves:
        # Searches are known to be behind: clicks stay in the buffer, waited for.
        rig.worker.on_chunk(chunk)
    await until(lambda: rig.transaction.commits > 0, "a first commit")
    await rig.worker.on_revoked(frozenset({0}))
    at_revoke = dict(rig.transaction.offsets)
    assert sum(at_revoke.values()) < sum(chunk.offset_next - chunk.offset_first for chunk in halves)
    assert not rig.transaction.begun
    positions = rig.engines.positions(0)
    assert positions is not None
    assert {(name, 0): offset for name, offset in positions.items()} == at_revoke
    await rig.worker.on_assigned({0: positions})
    for topic, records in enumerate(log):
        first = positions[TOPICS[topic]]
        rig.worker.on_chunk(FakeChunk(TOPICS[topic], 0, first, records[first:], len(records)))
    await until(lambda: done(rig, log), "the rest")
    rig.worker.stop(5)
    assert rig.failures == []
    assert outcomes(rig) == outcomes(reference)


async def test_nothing_of_the_next_transaction_is_sent_while_one_commits() -> None:
    log = shop_log(6, 600)
    transaction = FakeTransaction()
    gate = threading.Event()
    seen: list[int] = []

    def held() -> None:
        before = len(transaction.open)
        gate.wait(0.3)
        seen.append(len(transaction.open) - before)

    transaction.before_commit = held
    rig = make_rig(IntScorer(), transaction=transaction)
    rig.worker.start()
    await rig.worker.on_assigned(START)
    for chunk in chunks_of(log, 20):
        rig.worker.on_chunk(chunk)
    await until(lambda: done(rig, log), "the whole log to be committed")
    rig.worker.stop(5)
    assert seen
    assert set(seen) == {0}


async def test_records_that_come_again_are_skipped() -> None:
    log = shop_log(7, 300)
    reference = await play(log, 10_000)
    rig = make_rig(IntScorer())
    rig.worker.start()
    await rig.worker.on_assigned(START)
    for chunk in chunks_of(log, 25):
        rig.worker.on_chunk(chunk)
        back = max(0, chunk.offset_first - 10)
        topic = TOPICS.index(chunk.topic)
        again = log[topic][back : chunk.offset_next]
        rig.worker.on_chunk(FakeChunk(chunk.topic, 0, back, again, chunk.end_offset))
    await until(lambda: done(rig, log), "the whole log to be committed")
    rig.worker.stop(5)
    assert outcomes(rig) == outcomes(reference)


async def test_records_that_come_again_in_one_batch_are_skipped() -> None:
    """Decoded together: only the first of two chunks begins at the position."""
    log = shop_log(12, 200)
    reference = await play(log, 10_000)
    rig = make_rig(IntScorer())
    rig.worker.start()
    await rig.worker.on_assigned(START)
    chunks = chunks_of(log, 30)
    again = [
        FakeChunk(TOPICS[topic], 0, 10, records[10:], len(records))
        for topic, records in enumerate(log)
        if len(records) > 10
    ]
    await rig.worker.ask(lambda: [rig.worker.on_chunk(c) for c in (*chunks, *again)] and None)
    await until(lambda: done(rig, log) or bool(rig.failures), "the whole log to be committed")
    rig.worker.stop(5)
    assert rig.failures == []
    assert outcomes(rig) == outcomes(reference)


async def test_a_hole_stops_the_worker() -> None:
    rig = make_rig(IntScorer())
    rig.worker.start()
    await rig.worker.on_assigned(START)
    rig.worker.on_chunk(FakeChunk("clicks", 0, 3, [(b"u", b"x")], 4))
    await until(lambda: bool(rig.failures), "the failure")
    rig.worker.stop(5)
    assert isinstance(rig.failures[0], HoleError)
    assert "from 3 after 0 on clicks[0]" in str(rig.failures[0])


async def test_a_full_buffer_holds_its_topic_back_and_lets_go() -> None:
    log = shop_log(8, 500)
    rig = make_rig(IntScorer(), topic_bytes_max=20_000)
    rig.worker.start()
    await rig.worker.on_assigned(START)
    for chunk in chunks_of(log, 50):
        rig.worker.on_chunk(chunk)
    await until(lambda: done(rig, log), "the whole log to be committed")
    await until(lambda: not rig.fetching.held, "release")
    rig.worker.stop(5)
    assert rig.fetching.holds >= 1


@pytest.mark.parametrize("at_once_rows_max", [0, 64])
async def test_a_scorer_that_raises_stops_with_a_code_of_its_own(at_once_rows_max: int) -> None:
    class Broken(IntScorer):
        def score(self, partition: int, plan: object) -> object:
            raise FloatingPointError("no such number")

    rig = make_rig(Broken(), at_once_rows_max=at_once_rows_max)  # type: ignore[arg-type]
    rig.worker.start()
    await rig.worker.on_assigned(START)
    for chunk in chunks_of(shop_log(9, 50), 50):
        rig.worker.on_chunk(chunk)
    await until(lambda: bool(rig.failures), "the failure")
    rig.worker.stop(5)
    assert isinstance(rig.failures[0], EngineError)
    assert rig.failures[0].exit_code == 23
    assert rig.transaction.offsets == {}


async def test_a_wall_clock_that_is_set_back_holds_nobody_up() -> None:
    log = shop_log(13, 60)
    rig = make_rig(IntScorer(), merge_hold_ms=60_000, commit_interval_s=0.01)
    rig.worker.start()
    await rig.worker.on_assigned(START)
    before_ms = int(time.time() * 1000) + 3_600_000
    for name in ("searches", "purchases"):
        rig.worker.on_chunk(FakeChunk(name, 0, 0, [], 5, received_ms=before_ms))
    rig.worker.on_chunk(FakeChunk("clicks", 0, 0, log[0], len(log[0]), received_ms=before_ms))
    await until(lambda: rig.transaction.offsets.get(("clicks", 0)) == len(log[0]), "the clicks")
    rig.worker.stop(5)
    assert rig.failures == []


@pytest.mark.parametrize(("behind", "waits"), [(False, False), (True, True)])
async def test_rows_wait_for_a_topic_that_is_behind(behind: bool, waits: bool) -> None:
    log = shop_log(10, 60)
    rig = make_rig(IntScorer(), merge_hold_ms=700, commit_interval_s=0.01)
    rig.worker.start()
    await rig.worker.on_assigned(START)
    began = time.monotonic()
    now_ms = int(time.time() * 1000)
    clicks = FakeChunk("clicks", 0, 0, log[0], len(log[0]), received_ms=now_ms)
    for name in ("searches", "purchases"):
        end = 5 if behind and name == "searches" else 0
        rig.worker.on_chunk(FakeChunk(name, 0, 0, [], end, received_ms=now_ms))
    rig.worker.on_chunk(clicks)
    await until(lambda: rig.transaction.offsets.get(("clicks", 0)) == len(log[0]), "the clicks")
    waited_s = time.monotonic() - began
    rig.worker.stop(5)
    assert (waited_s >= 0.69) == waits


@pytest.mark.parametrize(
    ("resting", "until_ms", "waits"),
    [
        ({("searches", 0, 0), ("purchases", 0, 0)}, 1 << 62, False),
        ({("searches", 0, 0), ("purchases", 0, 0)}, 1, True),  # it is asked again before that
        ({("searches", 0, 1), ("purchases", 0, 0)}, 1 << 62, True),  # a chunk is on its way
        ({("purchases", 0, 0)}, 1 << 62, True),  # led by another broker
    ],
    ids=["both rest", "not for long", "more was fetched", "one rests"],
)
async def test_rows_do_not_wait_for_a_topic_that_rests(
    resting: set[tuple[str, int, int]], until_ms: int, waits: bool
) -> None:
    log = shop_log(10, 60)
    rig = make_rig(IntScorer(), merge_wait_ms=700, commit_interval_s=0.01)
    rig.fetching.resting, rig.fetching.until_ms = resting, until_ms
    rig.worker.start()
    await rig.worker.on_assigned(START)
    began, now_ms = time.monotonic(), int(time.time() * 1000)
    for name in ("searches", "purchases"):
        rig.worker.on_chunk(FakeChunk(name, 0, 0, [], 0, received_ms=now_ms))
    rig.worker.on_chunk(FakeChunk("clicks", 0, 0, log[0], len(log[0]), received_ms=now_ms))
    await until(lambda: rig.transaction.offsets.get(("clicks", 0)) == len(log[0]), "the clicks")
    waited_s = time.monotonic() - began
    rig.worker.stop(5)
    assert (waited_s >= 0.69) == waits
