"""Where the input goes on: header against group, and against the log."""

import pytest
from faust.types import TP

from stream.flow.stops import RetentionLostError, StartRefusedError
from stream.shell.positions import Disagreement, InputOffsets, choose_starts

CLICKS, SEARCHES = TP("clicks", 0), TP("searches", 0)


def starts(
    header: dict[str, int] | None, committed: dict[TP, int], first: int = 0, end: int = 100
) -> dict[TP, int]:
    both = (CLICKS, SEARCHES)
    offsets = InputOffsets(committed, dict.fromkeys(both, first), dict.fromkeys(both, end))
    return choose_starts(both, {0: header}, offsets)


def test_nothing_known_starts_at_the_beginning() -> None:
    assert starts(None, {}, first=7) == {CLICKS: 7, SEARCHES: 7}


def test_header_and_group_agree() -> None:
    agreed = {"clicks": 5, "searches": 0}
    assert starts(agreed, {CLICKS: 5, SEARCHES: 0}) == {CLICKS: 5, SEARCHES: 0}


def test_a_topic_that_is_new_to_both_starts_at_the_beginning() -> None:
    assert starts({"clicks": 5}, {CLICKS: 5}, first=3) == {CLICKS: 5, SEARCHES: 3}


@pytest.mark.parametrize(
    ("header", "committed"),
    [
        ({"clicks": 5}, {CLICKS: 6}),
        ({"clicks": 6}, {CLICKS: 5}),
        ({"clicks": 5}, {}),
        (None, {CLICKS: 5}),
        (None, {CLICKS: 0}),
        ({"clicks": 0}, {}),
    ],
)
def test_a_disagreement_is_told_with_both_numbers(
    header: dict[str, int] | None, committed: dict[TP, int]
) -> None:
    with pytest.raises(Disagreement) as raised:
        starts(header, committed)
    refusal = raised.value.refusal("group")
    assert isinstance(refusal, StartRefusedError)
    said = {None: "none", **{n: str(n) for n in range(7)}}
    here = said[(header or {}).get("clicks")]
    there = said[committed.get(CLICKS)]
    assert f"clicks[0]: state header {here}, group {there}" in str(refusal)


@pytest.mark.parametrize(("first", "lost"), [(4, False), (5, False), (6, True)])
def test_retention_must_not_have_taken_the_next_row(first: int, lost: bool) -> None:
    both = {"clicks": 5, "searches": 5}, {CLICKS: 5, SEARCHES: 5}
    if lost:
        with pytest.raises(RetentionLostError, match=r"clicks\[0\] goes on at 5.*starts at 6"):
            starts(*both, first=first)
    else:
        assert starts(*both, first=first) == {CLICKS: 5, SEARCHES: 5}


@pytest.mark.parametrize(("end", "beyond"), [(6, False), (5, False), (4, True)])
def test_the_log_must_reach_the_next_row(end: int, beyond: bool) -> None:
    both = {"clicks": 5, "searches": 5}, {CLICKS: 5, SEARCHES: 5}
    if beyond:
        with pytest.raises(StartRefusedError, match=r"clicks\[0\] goes on at 5.*ends at 4"):
            starts(*both, end=end)
    else:
        assert starts(*both, end=end) == {CLICKS: 5, SEARCHES: 5}
