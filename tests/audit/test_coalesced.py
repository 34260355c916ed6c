"""What the audit says of rows that were coalesced, on small logs made by hand (synthetic)."""

import pytest

from stream.audit.run import audit
from tests.audit.small_log import CLICKS, NAMES, SEARCHES, Lines
from tests.audit.test_audit import shown


def coalesced(*outcomes):
    """One user's clicks, with these outcomes."""
    return Lines([(CLICKS, 1, at, "ann", f"a{at}", word) for at, word in enumerate(outcomes)])


def test_a_coalesced_row_is_a_number_left_out_before_the_next_prediction():
    lines = coalesced("coalesced", "predicted", "coalesced", "coalesced", "predicted")
    assert shown(lines)[1] == ""
    lines = coalesced("predicted", "coalesced", "predicted")
    lines.prediction(CLICKS, 1, 2).edit(user_seq=2)
    _, text = shown(lines)
    assert "user_seq 2 after 1 in epoch 1 of its user, 1 coalesced between" in text


def test_the_last_of_a_user_is_never_coalesced():
    _, text = shown(coalesced("predicted", "coalesced"))
    assert text == f"{CLICKS}-1-1: coalesced, and its user has no later prediction"


def test_a_receipt_says_the_place_of_each_exception():
    lines = Lines()
    lines.receipt(CLICKS, 0, 5).edit(exception_seqs=[])
    assert "exceptions with 0 exception_seqs" in shown(lines)[1]


def test_a_coalesced_row_has_a_place_of_its_own():
    lines = coalesced("coalesced", "predicted")
    lines.receipt(CLICKS, 1, 0).edit(exception_seqs=[2])
    assert "partition 1: partition_seq 2 in several predictions or receipts" in shown(lines)[1]


def test_logs_that_begin_at_different_times_leave_gaps_that_are_none():
    places = ((CLICKS, 0), (SEARCHES, 0), (CLICKS, 1), (CLICKS, 2), (SEARCHES, 1))
    lines = Lines([(name, 1, at, "ann", f"{name}{at}", "predicted") for name, at in places])
    log = lines.log()
    log.starts = {(SEARCHES, 1): 1}
    assert audit(log, NAMES).problems.shown == []


@pytest.mark.parametrize("seq", [None, -1, 2**70, "1"])
def test_a_place_that_is_none_is_told(seq):
    lines = Lines()
    lines.receipt(CLICKS, 0, 5).edit(exception_seqs=[seq, 8])
    assert f"exception_seqs holds {seq!r}, no partition_seq" in shown(lines)[1]
