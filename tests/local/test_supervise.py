"""Supervision and instance numbers, with real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stream.flow.stops import codes_without_restart
from stream.local.instance import Instance, InstanceError

SUPERVISE = """
import sys
from stream.local.supervise import supervise
sys.exit(supervise([sys.executable, "-c", sys.argv[1]], {10}))
"""


def run(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SUPERVISE, code])


def test_a_failure_is_started_again_until_it_ends_well(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    child = (
        f"import sys; open({str(marks)!r}, 'a').write('x');"
        f"sys.exit(3 if open({str(marks)!r}).read() == 'x' else 0)"
    )
    assert run(child).wait(30) == 0
    assert marks.read_text() == "xx"


def test_a_code_that_no_start_can_cure_is_final(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    assert run(f"open({str(marks)!r}, 'a').write('x'); import sys; sys.exit(10)").wait(30) == 10
    assert marks.read_text() == "x"


def test_a_signal_is_passed_on_and_ends_it(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    child = f"open({str(mark)!r}, 'w').close(); import time; time.sleep(60)"
    process = run(child)
    deadline = time.monotonic() + 20
    while not mark.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM % 256 or process.returncode != 0


def test_codes_that_a_restart_does_not_cure() -> None:
    assert codes_without_restart() == {10, 11, 12, 13, 22, 24, 25}


def test_the_lowest_free_number_is_taken(tmp_path: Path) -> None:
    first = Instance(tmp_path, "group", -1)
    second = Instance(tmp_path, "group", -1)
    other = Instance(tmp_path, "other", -1)
    assert (first.number, second.number, other.number) == (0, 1, 0)
    with pytest.raises(InstanceError, match="instance 1 of group group runs here already"):
        Instance(tmp_path, "group", 1)


def test_a_number_is_free_again_when_its_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from stream.local.instance import Instance\n"
        "held = Instance(pathlib.Path(sys.argv[1]), 'group', 0)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(InstanceError):
        Instance(tmp_path, "group", 0)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    assert Instance(tmp_path, "group", 0).number == 0
