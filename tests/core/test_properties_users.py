"""Other users act on a user only through the partition's clocks and limits."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.config import EngineConfig
from tests.oracle.records import Event
from tests.oracle.runs import EngineRun, OracleRun
from tests.strategies.draws import configs, moves
from tests.strategies.streams import Move, StreamBuilder, deltas_of, stream_of

pytestmark = pytest.mark.timeout(420)  # Hypothesis may shrink for 300 s

OURS = (b"ours-0", b"ours-1")
FOREIGN = (b"theirs-0", b"theirs-1", b"theirs-2", b"theirs-3")
# What must stay equal: all but the numbers that count the partition's rows.
COUNTED = {"partition_seq", "user_epoch"}
insertions = st.lists(st.tuples(st.integers(0, 60), moves), max_size=30)


def with_foreign(
    config: EngineConfig, events: list[Event], places: list[tuple[int, Move]]
) -> list[Event]:
    """Mix in events of others that move no clock: none of them is beyond the watermark."""
    builder = StreamBuilder(config, FOREIGN)
    builder.offsets = [10**6, 2 * 10**6, 3 * 10**6]
    oracle = OracleRun(config)
    mixed: list[Event] = []
    for index, event in enumerate(events):
        mixed.append(event)
        oracle.feed([event])
        watermark_ms = oracle.oracle.clock.watermark_ms
        for place, move in places:
            if place % len(events) == index and watermark_ms is not None:
                behind_ms = deltas_of(config)[move.delta]
                builder.now_ms = watermark_ms - behind_ms
                kind = move.kind if move.kind in {"forget", "repeat", "bad", "same"} else "late"
                foreign = builder.add(move._replace(kind=kind))
                mixed.append(foreign)
    return mixed


def of_ours(records: list[dict[str, Any]], offsets: set[tuple[int, int]]) -> list[dict[str, Any]]:
    """Keep the rows of our events, without the numbers that count the partition's rows."""
    return [
        {name: value for name, value in row.items() if name not in COUNTED}
        for row in records
        if (row["topic"], row["offset"]) in offsets
    ]


@given(configs, st.lists(moves, min_size=1, max_size=60), insertions)
def test_foreign_users_change_nothing_while_the_clocks_are_equal(
    config: EngineConfig, ours: list[Move], places: list[tuple[int, Move]]
) -> None:
    config = replace(config, users_max=64, forgotten_max=64)
    events = stream_of(config, ours, OURS)
    mixed = with_foreign(config, events, places)
    alone, among = EngineRun(config).feed(events), EngineRun(config).feed(mixed)
    offsets = {(event.topic, event.offset) for event in events}
    assert of_ours(among.rows, offsets) == of_ours(alone.rows, offsets)

    def transitions(run: EngineRun) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in alert.items() if name not in COUNTED}
            for alert in run.alerts
            if alert["user"] in OURS
        ]

    assert transitions(among) == transitions(alone)
