"""Catching up: late rows tell each user's last alone, and nothing else changes."""

import json
import time
from collections import Counter
from typing import Any

from stream.wire.state import HEADER_KEY, decode_header
from tests.flow.fakes import Rig
from tests.flow.logs import shop_log
from tests.flow.test_worker import play, state

LONG_AGO_MS = 1_770_000_000_000  # after the last event of the shop's log


def told(rig: Rig, topic: str) -> list[Any]:
    """Messages of a topic, without what the clock says."""
    found = [json.loads(value or b"") for value in rig.transaction.values(topic)]
    return [{k: v for k, v in message.items() if k != "emitted_at"} for message in found]


def counted(rig: Rig) -> Counter[str]:
    """Outcomes by the last header."""
    values = [value for _, _, key, value in rig.transaction.committed if key == HEADER_KEY]
    return Counter(decode_header(values[-1] or b"").outcomes)


async def test_late_rows_tell_each_users_last_and_the_state_is_the_same() -> None:
    log = shop_log(3, 600)
    every = await play(log, 10_000, written_ms=LONG_AGO_MS)
    some = await play(log, 10_000, written_ms=LONG_AGO_MS, catch_up_ms=60_000)
    assert state(some) == state(every)
    assert told(some, "churn-alerts") == told(every, "churn-alerts")
    assert some.transaction.values("dead-letters") == every.transaction.values("dead-letters")
    all_told, last_told = told(every, "predictions"), told(some, "predictions")
    assert [message for message in all_told if message in last_told] == last_told
    assert 0 < len(last_told) < len(all_told)
    newest = {message["user_id"]: message for message in all_told}
    assert {message["user_id"]: message for message in last_told} == newest
    missing = len(all_told) - len(last_told)
    assert counted(some) - counted(every) == Counter(coalesced=missing)
    assert counted(every) - counted(some) == Counter(predicted=missing)


async def test_receipts_name_what_was_coalesced() -> None:
    rig = await play(shop_log(4, 500), 10_000, written_ms=LONG_AGO_MS, catch_up_ms=60_000)
    receipts = told(rig, "receipts")
    said = sum(entry[1] == "coalesced" for one in receipts for entry in one["exceptions"])
    assert said == counted(rig)["coalesced"] > 0
    assert sum(one["predicted"] for one in receipts) == len(told(rig, "predictions"))


async def test_rows_in_time_are_all_told() -> None:
    log = shop_log(3, 600)
    every = await play(log, 10_000, written_ms=LONG_AGO_MS)
    ages_ms = int(time.time() * 1000) - LONG_AGO_MS
    now = await play(log, 10_000, written_ms=LONG_AGO_MS, catch_up_ms=ages_ms + 60_000)
    assert told(now, "predictions") == told(every, "predictions")
