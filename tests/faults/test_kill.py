"""The arithmetic of `make kill`: what is drawn, what counts as lost or repeated, the last line."""

from stream.audit.checks import Problems
from stream.audit.run import Report
from tests.faults.aims import AIMS, Aim
from tests.faults.kill import RATE, Result, deck, sorted_problems, summary, wrong
from tests.faults.transactions import Phase, _Fields, _phase


def result(run: int = 0, **changed: object) -> Result:
    made = Result(run, "open", Phase.OPEN, False, False, "a", 100, RATE, 0, 0, 0, 5.0, 6.0)
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def test_every_aim_has_its_share_of_fifty_runs_and_a_seed_draws_the_same() -> None:
    drawn = deck(1, 50)
    assert {aim: drawn.count(aim) for aim in Aim} == AIMS
    assert deck(1, 50) == drawn
    assert deck(1, 7) == drawn[:7]
    assert deck(2, 50) != drawn
    assert len(deck(1, 120)) == 120


def test_the_last_line_has_events_once_per_deployment() -> None:
    results = [result(0, events=60), result(1), result(2, deployment="b", events=7, restart_s=9.0)]
    results[1].restoring = True
    results[2].phase = Phase.NONE
    assert summary(results) == (
        "runs=3 lost=0 repeated=0 in_transaction=2 restoring=1 events=107"
        " restart_p50_s=5.0 restart_max_s=9.0"
    )


def test_problems_of_the_audit_are_told_apart() -> None:
    told = [
        "clicks-0-5: no receipt for 3 events between 5 and 8",
        "clicks-0-9: predicted by its receipt, but no prediction",
        "clicks-0-9: more than one prediction",
        "clicks-0-9: its prediction is of another user than its key",
    ]
    place = {("clicks", 0): {"predicted": 10, "in_flight": 2}}
    report = Report(place, Problems(4, told))
    assert sorted_problems(report) == (4, 1, 1)
    assert sorted_problems(Report(place | {("clicks", 0): {"in_flight": 0}})) == (0, 0, 0)


def test_what_is_wrong_is_said() -> None:
    assert wrong([result(n) for n in range(20)]) == []
    assert "lost 1" in wrong([result(lost=1)])[0]
    assert "4999 events/s" in wrong([result(rate=4999)])[0]
    few = [result(n, phase=Phase.NONE if n % 2 else Phase.OFFSETS) for n in range(10)]
    assert wrong(few) == []
    few[0].phase = few[2].phase = Phase.NONE
    assert "3 of 10 kills" in wrong(few)[0]


def answer(state: bytes, *topics: bytes, error: int = 0) -> bytes:
    head = b"\0\0\0\7\0" + bytes(4) + b"\x02" + error.to_bytes(2, "big") + b"\x02a"
    named = b"".join(bytes([len(t) + 1]) + t + b"\x02" + bytes(4) + b"\0" for t in topics)
    return head + bytes([len(state) + 1]) + state + bytes(22) + bytes([len(topics) + 1]) + named


def test_phases_are_read_from_the_coordinators_answer() -> None:
    def phase(*words: bytes, error: int = 0) -> Phase:
        return _phase(_Fields(answer(*words, error=error)))

    assert phase(b"Ongoing", b"out") is Phase.OPEN
    assert phase(b"Ongoing", b"out", b"__consumer_offsets") is Phase.OFFSETS
    assert phase(b"PrepareCommit", b"out") is Phase.ENDING
    assert phase(b"CompleteCommit") is phase(b"Empty") is Phase.NONE
    assert phase(b"Dead", error=105) is Phase.NONE
