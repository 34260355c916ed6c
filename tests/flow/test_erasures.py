"""Receipts of erasures: one a request, in its transaction, the user named by a keyed hash alone."""

import json
from dataclasses import replace
from typing import Any

import pytest

from stream.core.config import EngineConfig
from stream.core.layout import TOPICS
from stream.flow.restore import Engines
from stream.flow.stops import RestoreError
from stream.wire.topics import DAY_MS, TABLE
from tests.flow.fakes import FakeTransaction, make_rig
from tests.flow.logs import Log, chunks_of
from tests.flow.test_worker import START, done, until
from tests.oracle.int_scorer import IntScorer

TIME_MS = 1_700_000_000_000


def event(number: int, kind: str, user: str) -> bytes:
    note: dict[str, Any] = {"event_id": f"e{number}", "event_type": kind, "user_id": user}
    note |= {"event_time": TIME_MS + number, "item_id": "i1", "query": "red", "order_id": "o"}
    if kind == "purchase":
        note["items"] = [{"item_id": "i1", "quantity": 1, "price": 9.5}]
    return json.dumps(note).encode()


async def play(log: Log, config: EngineConfig) -> FakeTransaction:
    rig = make_rig(IntScorer(), config=config, batch_events_max=7, commit_interval_s=0.01)
    rig.worker.start()
    await rig.worker.on_assigned(START)
    for chunk in chunks_of(log, 5):
        rig.worker.on_chunk(chunk)
    await until(lambda: done(rig, log) or bool(rig.failures), "the whole log")
    rig.worker.stop(5)
    assert rig.failures == []
    return rig.transaction


def small_log() -> Log:
    log: Log = ([], [], [])
    for number in range(60):
        user = f"u{number % 3}"
        kind = ("click", "search", "purchase")[number % 3]
        row = event(number, "user_forget" if number in {30, 31, 50} else kind, user)
        log[number % 3].append((user.encode(), row))
    return log


async def test_every_request_has_a_receipt_in_its_transaction() -> None:
    config = EngineConfig(hidden_users_max=32, exclude_recent=False, hash_key=b"a secret")
    transaction = await play(small_log(), config)
    receipts = [
        (key, json.loads(value or b""))
        for name, _, key, value in transaction.committed
        if name == "erasure-receipts"
    ]
    requests = [receipt["request"] for _, receipt in receipts]
    assert requests == ["clicks-0-10", "searches-0-10", "purchases-0-16"]
    rows = [key for name, _, key, value in transaction.committed if name == "state" and value]
    hashes = {key[len(b"\0forgotten") :].hex() for key in rows if key and b"forgotten" in key}
    for key, receipt in receipts:
        assert key == receipt["user_hash"].encode()
        assert receipt["user_hash"] in hashes
        kept_ms = receipt["hash_kept_until"] - receipt["forgotten_until"]
        assert kept_ms == config.forget_keep_ms
        left = {(each["topic"] or each["what"]): each["until"] for each in receipt["remains"]}
        assert left.pop("weights") is None
        days = {name: (until_ms - receipt["erased_at"]) / DAY_MS for name, until_ms in left.items()}
        assert days.pop("state") == pytest.approx(25 / 24)
        assert days.pop("dead-letters") == 30
        assert days == dict.fromkeys((*TOPICS, "predictions", "churn-alerts"), 7.0)
    other = await play(small_log(), EngineConfig(hidden_users_max=32, exclude_recent=False))
    told = {value for name, _, _, value in other.committed if name == "erasure-receipts"}
    assert not any(name.encode() in (value or b"") for name in hashes for value in told)


def test_the_hash_is_kept_longer_than_the_inputs() -> None:
    config = EngineConfig()
    for topic in TABLE:
        if topic.name in TOPICS:
            retention_ms = int(dict(topic.settings)["retention.ms"])
            assert config.forget_keep_ms >= retention_ms + config.future_ms_max


def changelog_of(transaction: FakeTransaction) -> tuple[list[bytes | None], list[bytes | None]]:
    rows = [(key, value) for name, _, key, value in transaction.committed if name == "state"]
    return [key for key, _ in rows], [value for _, value in rows]


async def test_hashes_of_another_key_are_not_taken_over() -> None:
    config = EngineConfig(hidden_users_max=32, exclude_recent=False)
    for log, holds in ((small_log(), False), (tuple(part[:9] for part in small_log()), True)):
        rows = changelog_of(await play(log, replace(config, hash_key=b"one")))
        same = Engines(replace(config, hash_key=b"one"), 1, 64)
        same.restore(0, *rows)
        engine, _ = same.activate(0)
        assert len(engine.forgotten) == (0 if holds else 3)
        other = Engines(replace(config, hash_key=b"two"), 1, 64)
        other.restore(0, *rows)
        if holds:  # nobody was forgotten: any key will do
            other.activate(0)
            continue
        with pytest.raises(RestoreError, match="by another erasure_key"):
            other.activate(0)
