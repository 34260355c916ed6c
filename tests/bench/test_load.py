"""The load is what the card says."""

import json
from collections import Counter, defaultdict

import pytest
from aiokafka.partitioner import murmur2 as murmur2_of_aiokafka

from stream.core.layout import TOPICS
from tests.bench.card import EVENT_BYTES, Card
from tests.bench.feed import cut
from tests.bench.load import BLOCK_EVENTS, Load

END_MS = 1_764_000_000_000
EVENTS = 60_000  # more than a block


@pytest.fixture(scope="module")
def blocks():
    return list(Load(Card(), EVENTS, END_MS).blocks())


@pytest.fixture(scope="module")
def rows(blocks):
    """(topic code, partition, key, event) in the order of sending."""
    return [
        (code, partition, message["key"], json.loads(message["value"]))
        for block in blocks
        for (code, partition), messages in block.items()
        for message in messages
    ]


def test_every_event_has_its_size_and_its_type(blocks, rows):
    assert len(rows) == EVENTS
    sizes = {len(m["value"]) for block in blocks for ms in block.values() for m in ms}
    assert sizes == {EVENT_BYTES}
    kinds = {"clicks": "click", "searches": "search", "purchases": "purchase"}
    assert all(event["event_type"] == kinds[TOPICS[code]] for code, _, _, event in rows)
    assert all(event["user_id"].encode() == key for _, _, key, event in rows)


def test_partition_is_that_of_java(rows):
    homes = {key: partition for _, partition, key, _ in rows}
    for key, partition in list(homes.items())[:2_000]:
        assert (murmur2_of_aiokafka(key) & 0x7FFFFFFF) % Card().partitions == partition


def test_shares_are_those_of_the_card(rows):
    share = Counter(code for code, *_ in rows)
    for code, want in enumerate(Card().shares):
        assert share[code] / EVENTS == pytest.approx(want, abs=0.01)
    ids = Counter(event["event_id"] for *_, event in rows)
    assert (EVENTS - len(ids)) / EVENTS == pytest.approx(0.01, abs=0.003)


def test_repeats_are_the_same_bytes_in_the_same_place(rows):
    seen = defaultdict(set)
    for code, partition, key, event in rows:
        seen[event["event_id"]].add((code, partition, key, json.dumps(event)))
    assert all(len(places) == 1 for places in seen.values())


def test_event_time_rises_but_for_the_late(rows):
    newest, late = defaultdict(int), 0
    for code, partition, _, event in rows:
        time_ms = event["event_time"]
        assert END_MS - Card().span_ms - Card().late_ms_max <= time_ms <= END_MS
        late += time_ms < newest[code, partition]
        newest[code, partition] = max(newest[code, partition], time_ms)
    # A repeat is behind too.
    assert late / EVENTS == pytest.approx(0.02, abs=0.005)


def test_same_card_same_bytes():
    events = BLOCK_EVENTS // 10
    assert list(Load(Card(), events, END_MS).blocks()) == list(
        Load(Card(), events, END_MS).blocks()
    )
    other = Load(Card(seed=2), events, END_MS)
    assert list(other.blocks()) != list(Load(Card(), events, END_MS).blocks())


@pytest.mark.parametrize("size", [1, 600, 10**9])
def test_cut_keeps_order_and_loses_nothing(blocks, size):
    block = {place: messages[:50] for place, messages in blocks[0].items()}
    pieces = cut(block, size)
    for place, messages in block.items():
        assert [m for piece in pieces for m in piece[place]] == messages
