"""The rate is between commits: neither start-up nor the wait for the last commit counts."""

import pytest

from tests.bench.progress import Progress

START_UP = (100.0, 5_100.0, 1_000, 3.0)


def progress_of(*points):
    progress = Progress()
    progress.points = [START_UP, *points]
    return progress


def test_start_up_and_tail_are_left_out():
    progress = progress_of(
        (101.0, 5_101.0, 11_000, 4.0),
        (102.0, 5_102.0, 21_000, 5.0),
        (103.0, 5_103.0, 31_000, 6.0),
        (103.9, 5_103.9, 31_500, 6.1),  # the tail
    )
    assert progress.rate() == (30_000, 3.0, 3.0)


def test_live_counts_only_while_the_producer_ran():
    progress = progress_of(
        (101.0, 5_101.0, 11_000, 4.0), (102.0, 5_102.0, 21_000, 5.0), (109.0, 5_109.0, 99_000, 9.0)
    )
    assert progress.rate(until_wall_s=5_102.0) == (20_000, 2.0, 2.0)


def test_one_commit_gives_no_rate():
    with pytest.raises(ValueError, match="1 commits seen"):
        progress_of().rate()
