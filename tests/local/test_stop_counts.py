"""Failures are counted over restarts, each instance for itself; a broken file stops nothing."""

import pytest

from stream.local.stop_counts import StopCounts


def test_counts_outlive_the_process_and_are_an_instance_s_own(tmp_path):
    folder = tmp_path / "instances"
    assert StopCounts(folder, "g", 0).read() == {}
    for code in (17, 17, 20):
        StopCounts(folder, "g", 0).add(code)
    assert StopCounts(folder, "g", 0).read() == {17: 2, 20: 1}
    assert StopCounts(folder, "g", 1).read() == {}
    assert StopCounts(folder, "h", 0).read() == {}


@pytest.mark.parametrize("text", ["", "[]", '{"17": "many"}', "{"])
def test_a_broken_file_is_left_out_and_made_anew(tmp_path, caplog, text):
    (tmp_path / "g-0.stops.json").write_text(text)
    counts = StopCounts(tmp_path, "g", 0)
    assert counts.read() == {}
    assert "is left out" in caplog.text
    counts.add(18)
    assert counts.read() == {18: 1}


def test_a_folder_that_cannot_be_written_is_said(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    StopCounts(tmp_path / "file" / "below", "g", 0).add(18)
    assert "cannot be written" in caplog.text
