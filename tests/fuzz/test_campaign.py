"""Campaigns are short here; `make fuzz` runs long ones. Kept failures are run again, always."""

from pathlib import Path

import pytest

from stream.wire import event as event_reader
from stream.wire import plain_events
from tests.fuzz import campaign
from tests.fuzz.campaign import FOUND, TARGETS, Campaign, packed, unpacked
from tests.fuzz.events import Events
from tests.fuzz.run import main

INPUTS = {"events": 12_000, "batches": 1_000, "states": 150, "bundles": 40}


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_campaign_finds_nothing(name: str, tmp_path: Path) -> None:
    done = Campaign(TARGETS[name](), tmp_path).run(0, INPUTS[name])
    assert done.failures == []
    assert done.accepted + done.refused == done.inputs == INPUTS[name]
    assert min(done.accepted, done.refused) > INPUTS[name] // 50
    assert done.corpus > len(TARGETS[name]().seeds())
    assert done.arcs > 10


@pytest.mark.parametrize("name", TARGETS)
def test_what_once_failed_does_not_again(name: str) -> None:
    kept = [path.read_bytes() for path in sorted(FOUND.glob(f"{name}-*.bin"))]
    assert TARGETS[name]().judge(kept).failures == []


def test_every_kept_file_belongs_to_a_target() -> None:
    names = {path.name.split("-")[0] for path in FOUND.glob("*.bin")}
    assert names <= set(TARGETS)


def test_a_plain_reader_that_refuses_more_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary: a difference between the twins that one value in a thousand shows."""
    monkeypatch.setattr(campaign, "FOUND", tmp_path / "found")
    (tmp_path / "found").mkdir()
    monkeypatch.setattr(event_reader, "QUERY_BYTES_MAX", 20)
    done = Campaign(Events(), tmp_path).run(0, 8_000)
    assert done.failures
    assert "refused by the plain reader: query is longer" in done.failures[0]
    assert list((tmp_path / "found").glob("events-*.bin"))


def test_the_traced_kernels_are_the_compiled_ones() -> None:
    """The plain twin must take what the compiled reader takes, or its lines tell nothing."""
    target = Events()
    value = target.seeds()[5]
    found = {name for name, _, _ in target.arcs(value)}
    assert {"read_plain", "scan_members", "_read_envelope", "_read_step", "read_event"} <= found
    assert hasattr(plain_events.read_plain, "py_func")  # those in use are compiled still


def test_a_campaign_goes_on_where_it_stood(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    common = ["--target", "events", "--processes", "1", "--folder", str(tmp_path)]
    assert main(["--inputs", "3000", *common]) == 0
    assert main(["--inputs", "5000", *common]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("inputs=5000 events=")
    assert last.endswith("failures=0")


def test_inputs_survive_the_file_of_a_running_batch() -> None:
    batch = [b"", b"\x00", b"abc" * 100]
    assert list(unpacked(packed(batch))) == batch
