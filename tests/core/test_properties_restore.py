"""Restored at any commit and gone on is never stopped: rows, alerts, state bytes."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.config import EngineConfig
from stream.wire.state import clock_of, decode_header
from tests.oracle.records import Event
from tests.oracle.runs import EngineRun, take_records
from tests.oracle.script import Script
from tests.strategies.draws import cuts, streams
from tests.strategies.streams import CONFIGS

pytestmark = pytest.mark.timeout(420)  # Hypothesis may shrink for 300 s

T = 1_700_000_000_000


@given(streams(), st.data())
def test_restored_at_any_commit(
    stream: tuple[EngineConfig, list[Event]], data: st.DataObject
) -> None:
    config, events = stream
    cut_at = data.draw(cuts(len(events)))
    stops = data.draw(st.sets(st.sampled_from([*cut_at, len(events)])))
    never_stopped, stopped = EngineRun(config), EngineRun(config)
    rows, alerts = [], []
    for first, last in zip([0, *cut_at], [*cut_at, len(events)], strict=True):
        never_stopped.feed(events[first:last]).commit()
        stopped.feed(events[first:last]).commit()
        if last in stops:
            rows += stopped.rows
            alerts += stopped.alerts
            stopped = stopped.reborn()
    assert rows + stopped.rows == never_stopped.rows
    assert alerts + stopped.alerts == never_stopped.alerts
    assert stopped.compacted() == never_stopped.compacted()


@given(streams(), st.data())
def test_restored_record_by_record(
    stream: tuple[EngineConfig, list[Event]], data: st.DataObject
) -> None:
    """A chunk may end anywhere, in the middle of a commit too: never a user too many."""
    config, events = stream
    run = EngineRun(config)
    edges = [0, *data.draw(cuts(len(events))), len(events)]
    for first, last in pairwise(edges):
        run.feed(events[first:last]).commit()
    whole, single = run.reborn(), EngineRun(config)
    for record in run.log:
        take_records(single.engine, [record])
    assert single.engine._slots.keys() == whole.engine._slots.keys()


@given(streams(events_max=60), st.data())
def test_a_standby_that_follows_commit_by_commit_takes_over(
    stream: tuple[EngineConfig, list[Event]], data: st.DataObject
) -> None:
    config, events = stream
    cut_at = data.draw(cuts(len(events)))
    active, standby = EngineRun(config), EngineRun(config)
    edges = [0, *cut_at, len(events)]
    half = len(edges) // 2
    header = None
    for first, last in pairwise(edges[: half + 1]):
        active.feed(events[first:last])
        records = active.commit()
        standby.log += records
        header = take_records(standby.engine, records)
    if header is None:
        return
    standby.engine.finish_restore(clock_of(header))
    active.rows, active.alerts = [], []
    for run in (active, standby):
        run.feed(events[edges[half] :]).commit()
    assert standby.rows == active.rows
    assert standby.alerts == active.alerts
    assert standby.compacted() == active.compacted()


@given(streams(events_max=60), st.data())
def test_a_partition_that_comes_back(
    stream: tuple[EngineConfig, list[Event]], data: st.DataObject
) -> None:
    """Its engine is still there, and takes over what another worker has written meanwhile."""
    config, events = stream
    first, last = sorted(data.draw(st.lists(st.integers(0, len(events)), min_size=2, max_size=2)))
    never_stopped = EngineRun(config).feed(events[:first])
    back = EngineRun(config).feed(events[:first])
    never_stopped.commit()
    back.commit()
    never_stopped.feed(events[first:last]).commit()
    records = back.reborn().feed(events[first:last]).commit()
    back.log += records
    header = take_records(back.engine, records)
    assert header is not None
    back.engine.finish_restore(clock_of(header))
    back.engine.drop_hidden()  # as stream.flow.restore.Engines has it
    never_stopped.rows, never_stopped.alerts, back.rows, back.alerts = [], [], [], []
    for run in (never_stopped, back):
        run.feed(events[last:]).commit()
    assert back.rows == never_stopped.rows
    assert back.alerts == never_stopped.alerts
    assert back.compacted() == never_stopped.compacted()


def test_who_was_forgotten_leaves_no_trace_for_who_gets_the_slot_by_a_restore() -> None:
    """Its place in the batch stayed: who was evicted from the slot took another user's along."""
    config = replace(CONFIGS[0], users_max=3)
    s = Script()
    s.click("kept", T)
    s.click("gone", T + 1)
    s.forget("gone", T + 1)
    run = EngineRun(config).feed(s.events)
    run.commit()
    elsewhere = run.reborn()
    for user in ("oldest", "kept", "c"):
        s.click(user, T + 2)
    records = elsewhere.feed(s.events[3:]).commit()
    header = take_records(run.engine, records)
    assert header is not None
    run.engine.finish_restore(clock_of(header))
    run.rows = []
    run.feed([s.click(user, T + 3) for user in ("d", "kept", "c")])
    assert [row["user_seq"] for row in run.rows] == [1, 3, 2]
    assert run.engine._slots.keys() == {b"kept", b"c", b"d"}


def test_who_is_behind_at_the_cap_has_a_user_too_many_for_a_while() -> None:
    """Who went and came again has no tombstone in a compacted changelog any more."""
    config = replace(CONFIGS[0], users_max=2)
    s = Script()
    for at, user in enumerate(("a", "b", "c", "a")):  # c takes the place of a, a that of b
        s.click(user, T + at)
    run, behind = EngineRun(config), EngineRun(config)
    take_records(behind.engine, run.feed(s.events[:2]).commit())
    second = run.feed(s.events[2:3]).commit()
    third = run.feed(s.events[3:]).commit()
    assert second[0] == (b"a", None)
    take_records(behind.engine, second[1:2])  # the row of c
    assert behind.engine.users_count == 3
    with pytest.raises(ValueError, match="3 users, users_max=2"):
        behind.engine.finish_restore(clock_of(decode_header(third[-1][1] or b"")))
    header = take_records(behind.engine, third)
    assert header is not None
    behind.engine.finish_restore(clock_of(header))
    assert behind.engine._slots.keys() == {b"a", b"c"}
    behind.log = list(run.log)
    assert behind.feed([s.click("d", T + 9)]).commit()[0] == (b"c", None)


@given(streams(events_max=60), st.data())
def test_who_is_behind_reads_on_in_a_compacted_changelog(
    stream: tuple[EngineConfig, list[Event]], data: st.DataObject
) -> None:
    """Who has left and come again has no tombstone there: for a while there are too many users."""
    config, events = stream
    config = replace(config, users_max=3)
    run, behind = EngineRun(config), EngineRun(config)
    before = 2 * len(events) // 3
    edges = [0, *data.draw(cuts(before)), before]
    passed = data.draw(st.integers(0, len(edges) - 1))
    read = 0
    for index, (first, last) in enumerate(pairwise(edges)):
        run.feed(events[first:last]).commit()
        if index < passed:
            read = len(run.log)
    take_records(behind.engine, run.log[:read])
    last_of = {key: at for at, (key, _) in enumerate(run.log)}
    rest = [record for at, record in enumerate(run.log) if at >= read and last_of[record[0]] == at]
    header = None
    for at in range(0, len(rest), 2):
        header = take_records(behind.engine, rest[at : at + 2]) or header
    if header is None:
        return
    behind.engine.finish_restore(clock_of(header))
    assert len(behind.engine.state.users) <= 3
    run.rows, run.alerts = [], []
    behind.log = list(run.log)
    for going_on in (run, behind):
        going_on.feed(events[before:]).commit()
    assert behind.rows == run.rows
    assert behind.alerts == run.alerts
    assert behind.compacted() == run.compacted()


@given(streams(events_max=60), st.data(), st.randoms(use_true_random=False))
def test_a_compacted_changelog_in_any_order_of_keys_restores_the_same(
    stream: tuple[EngineConfig, list[Event]], data: st.DataObject, chance: random.Random
) -> None:
    config, events = stream
    half = data.draw(st.integers(0, len(events)))
    run = EngineRun(config).feed(events[:half])
    run.commit()
    records = list(run.compacted().items())
    chance.shuffle(records)
    other = EngineRun(config)
    header = take_records(other.engine, records)
    assert header is not None
    other.engine.finish_restore(clock_of(header))
    other.log = list(records)
    run.rows, run.alerts = [], []
    for going_on in (run, other):
        going_on.feed(events[half:]).commit()
    assert other.rows == run.rows
    assert other.alerts == run.alerts
    assert other.compacted() == run.compacted()


def test_tombstones_at_once_do_what_they_do_one_by_one() -> None:
    s = Script()
    for at, user in enumerate("abcde"):
        s.click(user, T + at)
    run = EngineRun(replace(CONFIGS[0], users_max=8)).feed(s.events)
    run.commit()
    tombstones = [(user, None) for user in (b"b", b"nobody", b"d", b"a")]
    at_once, one_by_one = run.reborn().engine, run.reborn().engine
    take_records(at_once, tombstones)
    for tombstone in tombstones:
        take_records(one_by_one, [tombstone])
    assert at_once._slots.keys() == one_by_one._slots.keys() == {b"c", b"e"}
    assert at_once.state.clock["users_count"] == (at_once.state.users["epoch"] != 0).sum() == 2
    for ours, theirs in zip(at_once.state, one_by_one.state, strict=True):
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("committed", [False, True])
def test_an_evicted_user_is_a_tombstone(committed: bool) -> None:
    config = replace(CONFIGS[0], users_max=2)
    s = Script()
    s.click("a", T)
    s.click("b", T + 1)
    s.click("c", T + 2)
    run = EngineRun(config).feed(s.events[:2])
    if committed:
        run.commit()
    run.feed(s.events[2:])
    records = dict(run.commit())
    assert records[b"a"] is None
    assert records[b"c"] is not None
    assert (b"b" in records) is not committed
    assert run.reborn().engine.users_count == 2


def test_a_user_that_comes_back_in_the_same_commit_is_no_tombstone() -> None:
    s = Script()
    s.click("a", T)
    s.forget("a", T + 1)
    s.click("a", T + 2)
    records = EngineRun(CONFIGS[0]).feed(s.events).commit()
    assert [value is None for key, value in records if key == b"a"] == [False]


def test_an_expired_and_a_forgotten_user_are_tombstones() -> None:
    config = replace(CONFIGS[0], user_ttl_ms=CONFIGS[0].bucket_ms)
    s = Script()
    s.click("a", T)
    s.click("b", T)
    s.forget("b", T)
    s.click("c", T + config.bucket_ms)
    run = EngineRun(config).feed(s.events)
    records = dict(run.commit())
    assert records[b"a"] is records[b"b"] is None
    assert records[b"c"] is not None
    assert [row["outcome"] for row in run.reborn().feed([s.click("b", T)]).rows] == [4]
