"""Who looks at a running worker: a user as the changelog has it, and the last of what was told."""

import asyncio
import json
from typing import Any

import pytest

from stream.core.config import EngineConfig
from stream.core.layout import TOPICS
from stream.flow.described import describe
from stream.flow.latest import EVERY_MS, ITEMS, KEPT, Latest
from stream.flow.look_up import LookUp, reasons
from stream.wire.state import decode_header, decode_row
from tests.flow.fakes import Rig, make_rig
from tests.flow.logs import chunks_of, shop_log
from tests.flow.test_worker import START, done, play, state, until
from tests.oracle.int_scorer import IntScorer


def look_up_of(rig: Rig, config: EngineConfig, partitions: int = 1) -> LookUp:
    return LookUp(rig.worker, rig.engines, rig.models, config, list(TOPICS), partitions)


async def test_a_user_is_what_the_changelog_says() -> None:
    log, config = shop_log(3, 600), EngineConfig(hidden_users_max=32, exclude_recent=False)
    rig = make_rig(IntScorer(), config=config)
    rig.worker.start()
    try:
        await rig.worker.on_assigned(START)
        for chunk in chunks_of(log, 50):
            rig.worker.on_chunk(chunk)
        await until(lambda: done(rig, log), "the whole log to be committed")
        rows = {key: value for key, value in state(rig).items() if value}
        header = next(
            decode_header(value) for _, _, key, value in reversed(rig.transaction.committed)
            if key and key[0] == 0 and value
        )  # fmt: skip
        look_up = look_up_of(rig, config)
        for key, value in [*rows.items()][:20]:
            found = await look_up.find(key)
            assert found["found"] is True
            wanted = describe(*decode_row(value), header)
            for step in found["window"]:
                step.pop("name")
            assert {name: found[name] for name in wanted} == wanted
            assert found["why"]
            assert found["prediction_id"].rpartition("-")[0] in {f"{name}-0" for name in TOPICS}
        unknown = await look_up.find(b"nobody at all")
        assert (unknown["found"], "keeps nothing of this user" in unknown["why"][0]) == (
            False,
            True,
        )
        elsewhere = await look_up_of(rig, config, partitions=7).find(b"u5")
        assert "belongs to another worker" in elsewhere["why"][0]
        await rig.worker.on_revoked(frozenset({0}))
        gone = await look_up.find(next(iter(rows)))
        assert "no partition yet" in gone["why"][0]
        assert rig.failures == []
    finally:
        rig.worker.stop(5)


async def test_a_worker_that_is_busy_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.flow.look_up.WAIT_S", 0.05)
    config = EngineConfig(hidden_users_max=32, exclude_recent=False)
    rig = make_rig(IntScorer(), config=config)
    rig.worker.start()
    await rig.worker.on_assigned(START)
    rig.worker.stop(5)  # nobody answers any more
    found = await look_up_of(rig, config).find(b"u5")
    assert "busy with something else" in found["why"][0]
    await asyncio.sleep(0)


async def test_the_latest_are_few_and_newest_first() -> None:
    rig = await play(shop_log(5, 3_000), 20, batch_events_max=8)
    latest = rig.metrics.latest
    assert 1 <= len(latest.predictions) <= KEPT
    times = [each.at_ms for each in latest.predictions]
    assert times == sorted(times, reverse=True)
    assert all(b - a >= EVERY_MS for a, b in zip(times[1:], times[:-1], strict=True))
    messages = {}
    for value in rig.transaction.values("predictions"):
        message: dict[str, Any] = json.loads(value or b"")
        messages[message["prediction_id"]] = message
    for each in latest.predictions:
        message = messages[f"{each.topic}-{each.partition}-{each.offset}"]
        assert each.user.decode() == message["user_id"]
        assert each.as_of_ms == message["as_of"]
        assert message["purchase_probability"] == pytest.approx(each.purchase, abs=5.1e-7)
        assert [json.loads(item) for item in each.items] == [
            item["item_id"] for item in message["items"][:ITEMS]
        ]
    told = [json.loads(value or b"") for value in rig.transaction.values("churn-alerts")]
    assert len(latest.alerts) == min(KEPT, len(told))
    for each, message in zip(latest.alerts, reversed(told), strict=False):
        assert (each.user.decode(), each.state, each.level) == (
            message["user_id"], message["state"], message["level"],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("churn", "steps", "alert", "said"),
    [
        (None, 3, "normal", "3 steps so far; a churn score takes 5"),
        (None, 9, "normal", "no churn score yet"),
        (0.7, 9, "firing", "is at or above 0.70, from which an alert fires"),
        (0.69, 9, "normal", "is below 0.70"),
        (0.9, 9, "firing", "it fired as high risk; it ends with the user's next event"),
        (0.2, 9, "resolved", "the last alert ended (returned)"),
    ],
)
def test_why_is_said_in_words(churn: float | None, steps: int, alert: str, said: str) -> None:
    note = {
        "scores": {"churn": churn}, "steps_accepted": steps, "silence_seconds": 7_200.0,
        "alert": {
            "state": alert, "level": "high_risk", "reason": "returned",
            "next_check_in_seconds": 90.0,
        },
    }  # fmt: skip
    lines = reasons(note, EngineConfig())
    assert any(said in line for line in lines), lines
    assert "silent for 2.0 h of shop time" in lines
    assert "looked at again in 1.5 min of shop time, or at the next event" in lines


def test_nothing_was_told_yet() -> None:
    assert (Latest().predictions, Latest().alerts) == ((), ())
