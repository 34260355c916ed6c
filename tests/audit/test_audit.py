"""The audit passes a correct log and names each seeded fault."""

import copy
import subprocess
import sys

import pytest

from stream.audit.run import audit, wait_settled
from tests.audit.small_log import (
    CLICKS,
    EVENTS,
    NAMES,
    PURCHASES,
    SEARCHES,
    Lines,
    MemoryLog,
)


def shown(lines, **options):
    report = audit(lines.log(), NAMES, **options)
    assert report.problems.count >= len(report.problems.shown)
    return report, "\n".join(report.problems.shown)


def test_correct_log_balances():
    report, text = shown(Lines())
    assert text == ""
    assert report.summary() == (
        "events=16 predicted=9 duplicate=2 dead_lettered=2 control=1 forgotten=1 coalesced=1"
        " in_flight=0 problems=0"
    )
    assert report.counts[CLICKS, 0]["predicted"] == 5
    assert not report.truncated


# The seven faults that must never pass, each with the words that say where.


def test_lost_prediction():
    lines = Lines()
    lines.predictions.remove(lines.prediction(CLICKS, 0, 1))
    _, text = shown(lines)
    assert f"{CLICKS}-0-1: predicted by its receipt, but no prediction" in text


def test_doubled_prediction():
    lines = Lines()
    twin = lines.prediction(CLICKS, 1, 1)
    lines.predictions.append(type(twin)(twin.topic, 1, 99, twin.key, twin.value))
    _, text = shown(lines)
    assert f"{CLICKS}-1-1: more than one prediction" in text
    assert audit(lines.log(), NAMES, repeats=True).problems.count == 0


def test_repeats_at_least_once():
    """A try that did not commit may have seen another order: its successor is what holds."""
    tail = [(CLICKS, 0, 11, "ann", "a5", "predicted"), (CLICKS, 0, 12, "ann", "a6", "predicted")]
    lines = Lines([*EVENTS, *tail])
    lines.receipts = Lines().receipts  # the tail is in flight
    lines.predictions.remove(lines.prediction(CLICKS, 0, 11))
    lines.prediction(CLICKS, 0, 12).edit(user_seq=77)
    settled = lines.prediction(CLICKS, 1, 2)
    before = copy.copy(settled)
    settled.offset = 99
    before.edit(user_seq=7, partition_seq=1)
    lines.predictions.append(before)
    assert audit(lines.log(), NAMES, repeats=True).problems.shown == []
    assert audit(lines.log(), NAMES).problems.count > 0


def test_an_outcome_of_a_try_that_did_not_commit_at_least_once():
    """Merged otherwise, it predicted what was a duplicate in the end, and refused another event."""
    lines = Lines()
    stray = copy.copy(lines.prediction(CLICKS, 0, 1))
    stray.edit(prediction_id=f"{CLICKS}-0-2", input={"topic": CLICKS, "partition": 0, "offset": 2})
    lines.predictions.append(stray)
    dead = copy.copy(lines.dead_letters[0])
    dead.headers = [(name, b"1" if name == "offset" else text) for name, text in dead.headers]
    lines.dead_letters.append(dead)
    assert audit(lines.log(), NAMES, repeats=True).problems.shown == []
    assert audit(lines.log(), NAMES).problems.count == 2


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (0, 1, "-1-0: its prediction is of another user than its key"),  # two users
        (0, 2, "-1-2: its prediction's partition_seq is not above"),  # one user
    ],
)
def test_swapped_predictions(one, other, words):
    lines = Lines()
    first, second = lines.prediction(CLICKS, 1, one), lines.prediction(CLICKS, 1, other)
    first_note, second_note = first.note, second.note
    for name in ("prediction_id", "input"):
        first_note[name], second_note[name] = second_note[name], first_note[name]
    first.edit(**first_note)
    second.edit(**second_note)
    _, text = shown(lines)
    assert CLICKS + words in text


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ([1], f"duplicate of {CLICKS}-0-1, which has another event id"),
        ([4], f"duplicate of {CLICKS}-0-4, which was not predicted"),
        ([3], f"duplicate of {CLICKS}-0-3, which holds no event"),
        ([2], f"duplicate of {CLICKS}-0-2, which does not come before it"),
        ([0, SEARCHES], f"duplicate of {SEARCHES}-0-0, which has another event id"),
    ],
)
def test_wrong_duplicate(first, words):
    lines = Lines()
    receipt = lines.receipt(CLICKS, 0, 0)
    receipt.edit(exceptions=[[2, "duplicate", *first], [4, "dead_lettered"]])
    _, text = shown(lines)
    assert f"{CLICKS}-0-2: {words}" in text


def test_missing_receipt_in_the_middle():
    lines = Lines()
    lines.receipts.remove(lines.receipt(CLICKS, 0, 5))
    report, text = shown(lines)
    assert f"{CLICKS}-0-5: no receipt for 3 events between 5 and 9" in text
    assert report.problems.count > 3  # its prediction is counted as well
    assert report.total("in_flight") == 3


def test_missing_last_receipt():
    lines = Lines()
    lines.receipts.remove(lines.receipt(CLICKS, 0, 9))
    _, text = shown(lines)
    assert f"{CLICKS}-0-9: a prediction without a receipt" in text


def test_missing_dead_letter():
    lines = Lines()
    lines.dead_letters = [line for line in lines.dead_letters if line.partition == 1]
    _, text = shown(lines)
    assert text == f"{CLICKS}-0-4: dead-lettered, but there is no dead letter"


@pytest.mark.parametrize("where", ["value", "key", "both"])
def test_wrong_user(where):
    lines = Lines()
    prediction = lines.prediction(CLICKS, 0, 5)
    if where != "key":
        prediction.edit(user_id="ann")
    if where != "value":
        prediction.key = b"ann"
    _, text = shown(lines)
    assert f"{CLICKS}-0-5: its prediction is of another user than its key" in text


# Further ways to be wrong.


def test_prediction_of_a_dead_letter():
    lines = Lines()
    stray = lines.prediction(CLICKS, 0, 5)
    note = stray.note
    note["input"]["offset"] = 4
    twin = type(stray)(stray.topic, 0, 99, stray.key, stray.value)
    twin.edit(input=note["input"], prediction_id=f"{CLICKS}-0-4")
    lines.predictions.append(twin)
    _, text = shown(lines)
    assert f"{CLICKS}-0-4: a prediction, but its receipt says dead_lettered" in text


def test_prediction_in_another_partition_number():
    lines = Lines()
    prediction = lines.prediction(CLICKS, 0, 5)
    prediction.partition, prediction.offset = 1, 99
    _, text = shown(lines)
    assert text == f"{CLICKS}-0-5: its prediction lies in another partition number"


def test_dead_letter_of_a_good_event_and_a_second_one():
    lines = Lines()
    bad = lines.dead_letters[0]
    headers = [(name, b"1" if name == "offset" else value) for name, value in bad.headers]
    lines.dead_letters.append(type(bad)(bad.topic, 0, 98, bad.key, bad.value, headers))
    lines.dead_letters.append(type(bad)(bad.topic, 0, 99, bad.key, bad.value, bad.headers))
    _, text = shown(lines)
    assert f"{CLICKS}-0-1: a dead letter, but its receipt says predicted" in text
    assert f"{CLICKS}-0-4: more than one dead letter" in text


def test_user_seq_with_a_gap():
    lines = Lines()
    lines.prediction(CLICKS, 1, 2).edit(user_seq=3)
    _, text = shown(lines)
    assert f"{CLICKS}-1-2: its prediction has user_seq 3 after 1 in epoch 1 of its user" in text


def test_user_seq_that_does_not_start_at_1():
    lines = Lines()
    lines.prediction(CLICKS, 1, 1).edit(user_seq=2)
    _, text = shown(lines)
    assert f"{CLICKS}-1-1: its prediction has user_seq 2 after 0 in epoch 2 of its user" in text


def test_partition_seq_twice():
    lines = Lines()
    lines.prediction(PURCHASES, 0, 3).edit(partition_seq=8)
    _, text = shown(lines)
    assert "partition 0: partition_seq 8 in several predictions" in text


def test_receipt_twice_overlaps():
    lines = Lines()
    twin = lines.receipt(CLICKS, 0, 5)
    lines.receipts.append(type(twin)(twin.topic, 0, 99, twin.key, twin.value))
    _, text = shown(lines)
    assert f"{CLICKS}-0-5: receipts overlap: 5 to 9 comes after one that ends at 9" in text
    assert f"{CLICKS}-0-6: receipts give it two outcomes" in text


def test_receipt_with_a_wrong_count():
    lines = Lines()
    lines.receipt(CLICKS, 1, 0).edit(predicted=3)
    _, text = shown(lines)
    assert (
        text == f"{CLICKS}-1-0: receipt to 2 says 3 predicted and 0 exceptions, the log holds 2"
        " events there"
    )


def test_receipt_names_a_hole_and_another_range():
    lines = Lines()
    lines.receipt(CLICKS, 0, 5).edit(
        predicted=0, exceptions=[[8, "control"], [2, "forgotten"]], exception_seqs=[9, 4]
    )
    _, text = shown(lines)
    assert f"{CLICKS}-0-8: a receipt names an offset that holds no event" in text
    assert f"{CLICKS}-0-2: a receipt names an offset outside its range" in text


def test_unreadable_records_are_problems():
    lines = Lines()
    lines.prediction(CLICKS, 0, 5).edit(prediction_id="x")
    lines.prediction(CLICKS, 0, 1).value = b"[]"
    lines.receipt(CLICKS, 1, 0).value = b"{"
    lines.dead_letters[0].headers = []
    _, text = shown(lines)
    assert f"{NAMES.receipts}-0-3: receipt cannot be read" in text
    assert f"{NAMES.predictions}-0-1: cannot be read: not a JSON object" in text
    assert f"{NAMES.dead_letters}-0-0: cannot be read: no header 'topic'" in text
    assert "prediction_id 'x' is not" in text


def test_outputs_of_another_topic():
    lines = Lines()
    lines.prediction(CLICKS, 0, 1).edit(
        prediction_id="views-0-1", input={"topic": "views", "partition": 0, "offset": 1}
    )
    _, text = shown(lines)
    assert "views-0: receipts or outputs speak of it, but it is no input" in text


def test_recreated_topic():
    lines = Lines()
    lines.inputs = [line for line in lines.inputs if line.topic != SEARCHES]
    _, text = shown(lines)
    assert f"{SEARCHES}-0-0: a receipt goes to 2, the log ends at 0" in text


# The end, the start and the middle of a log that lives.


def in_flight_lines():
    tail = [(CLICKS, 0, 11, "ann", "a5", "predicted"), (CLICKS, 1, 4, "dan", "d1", "predicted")]
    lines = Lines([*EVENTS, *tail])
    whole = Lines()
    lines.receipts = whole.receipts
    return lines


def test_events_without_receipt_are_in_flight():
    lines = in_flight_lines()
    lines.predictions = [
        line for line in lines.predictions if line.note["input"]["offset"] not in {11, 4}
    ]
    report, text = shown(lines)
    assert text == ""
    assert report.total("in_flight") == 2
    assert sum(report.total(name) for name in report.counts[CLICKS, 0]) == 18


def test_receipts_that_come_while_it_reads_excuse_outputs_ahead():
    lines = in_flight_lines()
    newest = Lines([*EVENTS, (CLICKS, 0, 11, "ann", "a5", "predicted")]).receipt(CLICKS, 0, 9)
    newest.offset = 90
    newest.edit(offset_first=11)

    class Living(MemoryLog):
        """Receipts' last stable offset stays behind until predictions were read."""

        def ranges(self, topics, *, stable=True):
            ranges = super().ranges(topics, stable=stable)
            if stable and topics == [NAMES.receipts]:
                first, _ = ranges[NAMES.receipts, 0]
                ranges[NAMES.receipts, 0] = (first, 90)
            return ranges

    lines.receipts.append(newest)
    report = audit(Living(lines.all()), NAMES)
    assert report.problems.shown == [f"{CLICKS}-1-4: a prediction without a receipt"]


def test_log_start_after_retention():
    """What lies before the log's start is not asked for; a first that is gone is counted."""
    lines = Lines()
    log = lines.log()
    log.starts = {(CLICKS, 0): 2, (SEARCHES, 0): 1}
    report = audit(log, NAMES)
    assert report.problems.shown == []
    assert report.truncated
    assert report.firsts_gone == 2
    assert report.total("predicted") == 7


def test_since_starts_every_input_at_a_time():
    lines = Lines()
    for line in lines.all():
        line.time_ms = 1_000
    for line in lines.inputs:
        line.time_ms = 9_000 + line.offset if line.topic == CLICKS else 9_000
    report = audit(lines.log(), NAMES, since_ms=9_005)
    assert report.problems.shown == []
    events = {place: sum(row.values()) for place, row in report.counts.items()}
    assert {place: count for place, count in events.items() if count} == {(CLICKS, 0): 5}


def test_settle_waits_for_receipts():
    assert wait_settled(Lines().log(), NAMES, 0.0)
    assert not wait_settled(in_flight_lines().log(), NAMES, 0.0)
    lines = in_flight_lines()
    reads = 0

    class Growing(MemoryLog):
        """The last receipts come after the second look."""

        def ranges(self, topics, *, stable=True):
            nonlocal reads
            reads += topics == [NAMES.receipts]
            if reads == 3 and len(self.lines) == len(lines.all()):
                for number, first, after in ((0, 11, 12), (1, 4, 5)):
                    late = copy.copy(lines.receipt(CLICKS, number, 0))
                    late.offset = 90 + number
                    late.edit(offset_first=first, offset_next=after)
                    self.lines.append(late)
            return super().ranges(topics, stable=stable)

    assert wait_settled(Growing(lines.all()), NAMES, 30.0)
    assert reads == 3


def test_only_the_first_problems_are_shown():
    lines = Lines([(CLICKS, 0, offset, "ann", f"a{offset}", "predicted") for offset in range(50)])
    lines.predictions = []
    report, _ = shown(lines)
    assert report.problems.count == 50
    assert len(report.problems.shown) == 20


def test_empty_log():
    lines = Lines([])
    report, text = shown(lines)
    assert text == ""
    assert report.summary().startswith("events=0 predicted=0")


def test_the_audit_shares_no_code_with_what_it_checks():
    code = (
        "import sys, stream.audit.run;"
        "print([m for m in sys.modules if m.startswith('stream.')"
        " and not m.startswith('stream.audit') and m != 'stream.kernel_cache'])"  # of the package
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
