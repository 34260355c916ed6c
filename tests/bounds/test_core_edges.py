"""The engine's limits, each at limit - 1, limit and limit + 1."""

from dataclasses import replace

import numpy as np
import pytest

from stream.core import due, forgotten
from stream.core.config import DAY_MS, EngineConfig
from stream.core.forgotten import Forgotten
from stream.wire.state import changelog
from tests.bounds.edges import CONFIG, Driven

THREE = (-1, 0, 1)


@pytest.mark.parametrize("beyond", THREE)
def test_users_max_evicts_the_least_active_with_a_tombstone(beyond: int) -> None:
    driven = Driven()
    count = CONFIG.users_max + beyond
    driven.meet(range(count))
    gone = [key for key, value in changelog(driven.engine, 1, {}, {}).records() if value is None]
    assert driven.engine.users_count == min(count, CONFIG.users_max)
    assert driven.engine.dropped["capacity"] == max(0, beyond)
    assert gone == ([b"user-0"] if beyond > 0 else [])
    assert len(driven.engine.state.users) == CONFIG.users_max


@pytest.mark.parametrize("beyond", THREE)
def test_window_steps_keep_the_newest(beyond: int) -> None:
    driven = Driven()
    count = CONFIG.window_steps + beyond
    driven.meet([1] * count)
    user = driven.engine.state.users[driven.engine._slots[b"user-1"]]
    assert user["ring_len"] == min(count, CONFIG.window_steps)
    assert user["steps_count"] == count


@pytest.mark.parametrize("beyond", THREE)
def test_a_user_costs_bounded_bytes(beyond: int) -> None:
    """A changelog row grows by a step for each step held, and no further."""
    sizes = {}
    for count in (1, 2, CONFIG.window_steps + beyond, CONFIG.window_steps):
        driven = Driven()
        driven.meet([1] * count)
        sizes[count] = len(dict(changelog(driven.engine, 1, {}, {}).records())[b"user-1"] or b"")
    step = sizes[2] - sizes[1]
    held = min(CONFIG.window_steps + beyond, CONFIG.window_steps)
    assert sizes[CONFIG.window_steps + beyond] == sizes[1] + (held - 1) * step


@pytest.mark.parametrize("beyond", THREE)
def test_hidden_users_max_takes_rows_in_turn(beyond: int) -> None:
    driven = Driven(replace(CONFIG, users_max=50))
    count = CONFIG.hidden_users_max + beyond
    driven.meet(range(count))
    owners = driven.engine.state.pool_owner
    assert len(owners) == CONFIG.hidden_users_max
    assert int((owners >= 0).sum()) == min(count, CONFIG.hidden_users_max)
    assert int((driven.engine.state.hidden_row >= 0).sum()) == min(count, len(owners))


@pytest.mark.parametrize("beyond", THREE)
def test_a_batch_of_more_rows_than_agreed_is_our_mistake(beyond: int) -> None:
    driven = Driven(rows_max=8)
    if beyond <= 0:
        driven.meet([1] * (8 + beyond))
        return
    with pytest.raises(ValueError, match="batch of 9 rows, at most 8"):
        driven.meet([1] * 9)


@pytest.mark.parametrize("beyond", THREE)
def test_forgotten_max_drops_the_lowest_time(beyond: int) -> None:
    names = [bytes([number]) * 16 for number in range(9)]
    kept = Forgotten(b"k", 8, DAY_MS)
    for number in range(8 + beyond):
        kept.add(names[number], 1_000 + number)
    changed = kept.changes(0)
    dropped = [name for name, time_ms in changed.items() if time_ms is None]
    assert dropped == ([names[0]] if beyond > 0 else [])
    assert len(kept._times) == min(8 + beyond, 8)


@pytest.mark.parametrize("beyond", THREE)
def test_a_forgotten_hash_is_kept_so_long(beyond: int) -> None:
    kept = Forgotten(b"k", 8, DAY_MS)
    kept.add(b"a" * 16, 5_000)
    kept.changes(0)
    over = kept.changes(5_000 + DAY_MS + beyond)
    assert over == ({} if beyond < 0 else {b"a" * 16: None})


def test_asking_again_and_again_to_be_forgotten_fills_nothing() -> None:
    kept = Forgotten(b"k", 8, DAY_MS)
    for time_ms in range(20_000):
        kept.add(bytes([time_ms % 7]) * 16, time_ms)
        assert len(kept._order) <= 2 * len(kept._times) + forgotten.ENTRIES_SPARE
    assert sorted(kept._times.values()) == list(range(19_993, 20_000))


def test_users_who_come_and_go_do_not_fill_the_time_index() -> None:
    """Each leaves an entry behind that would stay until its time to live is over."""
    config = EngineConfig(window_steps=4, refresh_steps=2, users_max=100, hidden_users_max=8)
    driven = Driven(config, users=10_000)
    for first in range(0, 10_000, 200):
        driven.meet(range(first, first + 200))
        assert len(driven.engine._due) <= 2 * config.users_max + due.ENTRIES_SPARE + 200
    assert driven.engine.dropped["capacity"] == 9_900
    live = np.count_nonzero(driven.engine.state.due_bucket != due.NO_BUCKET)
    assert live == driven.engine.users_count == config.users_max


def test_clearing_the_time_index_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[bytes]:
        driven = Driven(replace(CONFIG, user_ttl_ms=DAY_MS // 12), users=12)
        said = []
        for turn in range(40):
            parts = driven.meet([(turn * 7 + n) % 12 for n in range(9)], "leap" if turn % 9 == 8
                                else "next")  # fmt: skip
            said += [part.alerts.tobytes() + part.rows.tobytes() for part in parts]
        return [
            *said,
            *(value or b"" for _, value in changelog(driven.engine, 1, {}, {}).records()),
        ]

    wanted = run()
    monkeypatch.setattr(due, "ENTRIES_SPARE", -100)  # cleared at every turn
    assert run() == wanted
