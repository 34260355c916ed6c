"""Both forms of the changelog that the bench compares restore the writer's state."""

import pytest

from tests.bench.card import Card
from tests.bench.changelog_log import check_same
from tests.bench.changelog_schemes import Blocks, Records, Rows
from tests.bench.full_users import FullUsers, new_engine

USERS = 300
ROUND = 3
SLOTS = 1024


@pytest.fixture
def full():
    full = FullUsers(Card(), USERS)
    full.touch(700, 500)  # of which neither form knows
    return full


def commits(scheme, full, count):
    logs = []
    for _ in range(count):
        full.touch(700, 500)
        logs.append([scheme.commit(number) for number in range(full.card.partitions)])
    return logs


def restored(scheme, full, logs: list[list[Records]]):
    engines = [new_engine(full.card, USERS, number) for number in range(full.card.partitions)]
    readers = [scheme.reader(engine, SLOTS) for engine in engines]
    for log in logs:
        for reader, records in zip(readers, log, strict=True):
            reader(records)
    return engines


@pytest.mark.parametrize("form", [Rows, Blocks])
def test_a_filled_log_and_commits_restore_the_state(full, form):
    scheme = form(full, ROUND)
    filled = [scheme.fill(number, 0, SLOTS) for number in range(full.card.partitions)]
    logs = [filled, *commits(scheme, full, 4)]
    check_same(full.engines, restored(scheme, full, logs))


def test_blocks_are_whole_from_the_start_of_a_complete_round(full):
    scheme = Blocks(full, ROUND)
    logs = commits(scheme, full, 3 * ROUND + 1)
    check_same(full.engines, restored(scheme, full, logs[2 * ROUND :]))


def test_blocks_are_not_whole_from_within_a_round(full):
    scheme = Blocks(full, ROUND)
    logs = commits(scheme, full, ROUND)
    with pytest.raises(RuntimeError, match="restored"):
        check_same(full.engines, restored(scheme, full, logs[1:]))
