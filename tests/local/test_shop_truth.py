"""The truth beside a run: every line of it is in the stream, and what is there is in it."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from stream.core.layout import TOPICS, Reason
from stream.local.shop import Shop
from stream.local.shop_faults import FaultRates
from stream.local.shop_people import DAY_MS
from stream.local.truth import TruthWriter

FAULTS = FaultRates(0.05, 0.05, 0.02, 0.05, 0.01, 0.3)
STEP = 97  # records "sent" at once, so that blocks are cut in their middle


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole run: its shop, its records as (topic, key, value), the lines of its truth."""
    return record(tmp_path_factory.mktemp("truth") / "truth.jsonl", 10**9)


def record(path: Path, records_max: int):
    shop = Shop(9, users=150, days=40, faults=FAULTS)
    sent: list[tuple[str, bytes | None, bytes]] = []
    reached_ms = 0
    with TruthWriter(path, shop) as writer:
        for whole in shop.events():
            block = whole.head(records_max - len(sent))
            for start in range(0, len(block.values), STEP):
                stop = min(start + STEP, len(block.values))
                writer.sent(block, start, stop)
                reached_ms = int(block.due_ms[stop - 1])
            sent += [
                (TOPICS[topic], key, value)
                for topic, key, value in zip(
                    block.topic.tolist(), block.keys, block.values, strict=True
                )
            ]
            if len(sent) == records_max:
                break
        writer.finish(reached_ms)
    return shop, sent, [json.loads(line) for line in path.read_text().splitlines()]


def of_kind(lines, kind):
    return [line for line in lines if line["kind"] == kind]


def test_the_first_line_says_synthetic_and_the_last_counts(run):
    _, _, lines = run
    assert lines[0]["kind"] == "run"
    assert lines[0]["synthetic"] is True
    counts = Counter(line["kind"] for line in lines[:-1])
    assert lines[-1] == {
        "kind": "end", "reached_ms": lines[-1]["reached_ms"], "lines": dict(counts)
    }  # fmt: skip


def test_every_record_that_comes_twice_is_a_duplicate_of_the_truth_and_no_other(run):
    _, sent, lines = run
    times = Counter((topic, key, value) for topic, key, value in sent)
    twice = Counter()
    for (topic, key, value), count in times.items():
        if count > 1:
            twice[topic, key.decode(), msgspec.json.decode(value)["event_id"]] += count - 1
    told = Counter((d["topic"], d["key"], d["event_id"]) for d in of_kind(lines, "duplicate"))
    assert told == twice
    assert told


def test_every_dead_letter_of_the_truth_is_in_the_stream_with_its_digest(run):
    _, sent, lines = run
    digests = Counter((topic, hashlib.sha256(value).hexdigest()) for topic, _, value in sent)
    bad = [line for line in lines if line["kind"] in {"poison", "bot", "future"}]
    assert len(bad) > 100
    for line in bad:
        assert digests[line["topic"], line["sha256"]] == 1
        assert Reason[line["reason"].upper()] != Reason.NONE
        if line["fault"] == "key_null":
            assert line["key"] is None


def test_bots_of_the_truth_are_the_bots_of_the_stream(run):
    _, sent, lines = run
    said = [value for _, _, value in sent if value.count(b'"is_bot":true') and value[:1] == b"{"]
    assert len(said) == len(of_kind(lines, "bot"))


def test_late_events_stand_where_the_truth_says(run):
    _, sent, lines = run
    late = {line["event_id"]: line for line in of_kind(lines, "late")}
    dead = {line["sha256"] for line in lines if line["kind"] in {"poison", "bot", "future"}}
    newest: dict[bytes, int] = {}
    true_time = true_times(run)
    overtaken = 0
    seen = set()
    for _, key, value in sent:
        if hashlib.sha256(value).hexdigest() in dead:
            continue
        event_id = msgspec.json.decode(value)["event_id"]
        time_ms = true_time[event_id]
        before = newest.get(key, 0)
        if event_id in late:
            seen.add(event_id)
            assert late[event_id]["overtaken"] == (before > time_ms)
            overtaken += before > time_ms
        newest[key] = max(before, time_ms)
    assert seen == set(late)
    assert overtaken > 50


def true_times(run):
    """Event id -> true time: what the shop played, again."""
    shop = Shop(9, users=150, days=40, faults=FAULTS)
    return {
        f"{shop.run}{int(row['seq']):08x}": int(row["time_ms"])
        for block in shop.events()
        for row in block.rows
    }


def test_visits_of_the_truth_are_the_sessions_of_the_stream(run):
    _, sent, lines = run
    dead = {line["sha256"] for line in lines if line["kind"] in {"poison", "bot", "future"}}
    sessions = {
        (key.decode(), msgspec.json.decode(value)["session_id"])
        for _, key, value in sent
        if hashlib.sha256(value).hexdigest() not in dead
    }
    told = {(line["user"], line["session_id"]) for line in of_kind(lines, "visit")}
    # A visit whose first event is delivered late may begin after the end.
    assert told <= sessions
    assert len(sessions - told) <= 3


def test_a_churner_has_no_event_after_the_time_of_the_truth(run):
    shop, sent, lines = run
    true_time = true_times(run)
    last: dict[str, int] = {}
    dead = {line["sha256"] for line in lines if line["kind"] in {"poison", "bot", "future"}}
    for _, key, value in sent:
        if hashlib.sha256(value).hexdigest() not in dead:
            event_id = msgspec.json.decode(value)["event_id"]
            last[key.decode()] = max(last.get(key.decode(), 0), true_time[event_id])
    gone = [line for line in of_kind(lines, "churner") if line["gone_from_ms"] is not None]
    assert len(gone) > 5
    for line in gone:
        assert last[line["user"]] == line["gone_from_ms"]
        assert line["slowing_from_ms"] <= shop.end_ms
    assert of_kind(lines, "skewed")
    assert of_kind(lines, "returner")


@pytest.mark.parametrize("records_max", [1, 1_000, 5_003])
def test_a_run_cut_short_has_a_truth_of_what_was_sent(tmp_path, records_max, run):
    _, sent, lines = record(tmp_path / "cut.jsonl", records_max)
    assert len(sent) == records_max
    assert sent == run[1][:records_max]
    faults = [line for line in lines if "event_id" in line]
    assert faults == [line for line in run[2] if "event_id" in line][: len(faults)]
    ids = {line["sha256"] for line in faults if "sha256" in line}
    assert ids <= {hashlib.sha256(value).hexdigest() for _, _, value in sent}
    for line in of_kind(lines, "churner"):
        assert line["slowing_from_ms"] <= lines[-1]["reached_ms"]
    assert lines[-1]["reached_ms"] <= lines[0]["start_ms"] + 40 * DAY_MS
